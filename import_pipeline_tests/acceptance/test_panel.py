"""The panel in a real browser, over real imports."""

import signal
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from import_pipeline_tests.acceptance.command_line import CommandLine, answers, eventually, far_slot, free_port
from import_pipeline_tests.support import http
from import_pipeline_tests.support.browser import open_browser
from import_pipeline_tests.support.imports import demo_api

PAGES = (
    "/",
    "/login",
    "/imports/{failed}",
    "/run",
    "/imports/{failed}/delete",
    "/imports/{failed}/retry",
    "/imports/999",
)


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=20_000)  # the machine may be busy
    with open_browser() as browser:
        yield browser


@dataclass
class Visitor:
    """A browser window that records its requests and every console error."""

    context: BrowserContext
    url: str
    page: Page = field(init=False)
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.clock.install()  # it runs like any other, and can be moved forward
        self.page = self.open("/")

    def open(self, path):
        page = self.context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url + path)
        return page

    def go(self, path):
        self.page.goto(self.url + path)
        return self.page


@dataclass
class Stage:
    """A demo API, a panel and the command line, over one state folder."""

    command: CommandLine
    panel: str
    api: str

    def run(self, *arguments, limits="1000/1 second", status=0):
        ended = self.command.run("run", "items", "--json", *arguments, status=status, ITEMS_LIMITS=limits)
        return ended.json["import_id"]

    def start_slowly(self):
        """Start an import of 25 items, one a second; return the command and the import's id."""
        before = self.latest()["import_id"]
        started = self.command.start("run", "items", "--fresh", "--yes", ITEMS_LIMITS="1/1 second")
        eventually(lambda: self.latest()["import_id"] != before, "the import is there")
        eventually(lambda: self.latest()["status"] == "running", "the import runs")
        return started, self.latest()["import_id"]

    def latest(self):
        listed = http.get(f"{self.panel}/api/imports?sort=-id").json()["imports"]
        return listed[0] if listed else {"import_id": 0}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    command = CommandLine(folder)
    port = free_port()
    with demo_api(items=25, limits="none", faults=("7=status:422", "9=status:403", "11=status:422")) as api:
        command.environment = {
            "IMPORT_PIPELINE_HOME": str(folder / "home"),
            "ITEMS_BASE_URL": api,
            "ITEMS_SLOTS": far_slot(),
            "PANEL_PORT": str(port),
        }
        command.start("panel")
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(address), "the panel answers")
        yield Stage(command, address, api)
        command.end_all()


@pytest.fixture(scope="module")
def failed(stage):
    """Return the id of an ended import in which three items failed."""
    return stage.run(status=3)


@pytest.fixture
def visit(browser, stage):
    """Open a window. At the test's end it must have no errors, and no request may have left the machine."""
    opened = []

    def visit(**options):
        opened.append(
            Visitor(browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options}), stage.panel)
        )
        return opened[-1]

    yield visit
    for visitor in opened:
        visitor.context.close()
        assert visitor.complaints == []
        assert {urlsplit(url).netloc for url in visitor.asked} == {urlsplit(stage.panel).netloc}


def serious(response):
    """Return the problems that axe-core rates as serious, with the first element of each."""
    found = [each for each in response["violations"] if each["impact"] in {"serious", "critical"}]
    return [(each["id"], each["nodes"][0]["html"], each["nodes"][0]["any"][0]["message"]) for each in found]


def progress(page, name):
    return page.get_by_role("progressbar", name=name)


def value(bar):
    return int(bar.get_attribute("aria-valuenow"))


def test_list_and_import_refresh_by_themselves_until_the_import_has_ended(stage, visit):
    visitor = visit()
    started, running = stage.start_slowly()
    listed = progress(visitor.page, f"Progress of import {running}")
    expect(listed).to_be_attached()  # the list has found it by itself
    page = visitor.open(f"/imports/{running}")
    page.evaluate("window.untouched = true")
    in_list, on_page = value(listed), value(progress(page, "Progress"))
    eventually(lambda: value(listed) > in_list, "progress grows in the list")
    eventually(lambda: value(progress(page, "Progress")) > on_page, "progress grows on the page")
    expect(page.get_by_role("meter")).to_have_count(1)
    expect(page.get_by_text("left", exact=False).first).to_be_visible()
    stage.command.run("cancel", str(running), "--yes")
    started.end()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    expect(visitor.page.locator(f"#import-{running}")).to_contain_text("cancelled")
    expect(page.get_by_role("button")).to_have_count(0)
    duration = page.locator("#duration").inner_text()
    visitor.page.close()
    asked = len(visitor.asked)
    page.clock.run_for(60_000)
    assert page.locator("#duration").inner_text() == duration
    assert len(visitor.asked) == asked  # no more requests
    assert page.evaluate("window.untouched")  # and the page was never loaded anew


def test_tabs_and_columns_filter_and_sort(stage, failed, visit):
    page = visit().page
    for tab, shown in (("failed 0", 0), ("completed", 1)):
        page.get_by_label("Status").get_by_role("link", name=tab).click()
        expect(page.locator(f"#import-{failed}")).to_have_count(shown)
    page.get_by_role("link", name="Import", exact=True).click()
    assert page.url.endswith("?status=completed&sort=-id")
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Import↓")


def test_new_and_reschedule_are_asked_for_in_a_dialog_and_carried_out(stage, visit):
    page = visit().page
    for mode, said in (("NEW", "Extra import requested."), ("RESCHEDULE", "Requested: the next scheduled import")):
        page.get_by_role("link", name="Run import").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("The schedule stays unchanged")
        expect(dialog).to_contain_text("It uses up its slot")
        dialog.get_by_role("radio", name=mode).check()
        dialog.get_by_role("button", name="Run import").click()
        expect(page.get_by_text(said)).to_be_visible()
    expect(page.get_by_text("was requested")).to_have_count(2)
    carried_out = stage.command.run("start-scheduled", "items", "--json", status=None, ITEMS_LIMITS="1000/1 second")
    assert len(carried_out.json["imports"]) == 1
    expect(page.get_by_text("was requested")).to_have_count(0)
    expect(page.get_by_role("row").filter(has_text="request")).to_contain_text("completed")
    expect(page.get_by_role("row").filter(has_text="reschedule")).to_contain_text("due")


def test_a_running_import_is_cancelled_after_a_confirmation(stage, visit):
    started, running = stage.start_slowly()
    page = visit().go(f"/imports/{running}")
    page.get_by_role("link", name="Cancel import").click()
    page.get_by_role("dialog").get_by_role("link", name="Back").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("link", name="Cancel import").click()
    page.get_by_label("Reason").fill("it was a try")
    page.get_by_role("button", name="Cancel the import").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    assert started.end().status == 4
    expect(page.get_by_text("Cancellation requested by a user of the panel: it was a try.")).to_be_visible()


def test_failed_items_are_retried_and_imports_deleted_after_a_confirmation(stage, failed, visit):
    page = visit().go(f"/imports/{failed}")
    expect(page.locator(".reasons li").filter(has_text="422 Unprocessable")).to_contain_text("2")
    expect(page.get_by_role("row")).to_have_count(0)  # the items themselves are folded away
    page.get_by_text("Failed items").click()
    expect(page.get_by_role("row")).to_have_count(4)
    page.get_by_role("link", name="Retry 3 items").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page.get_by_text("This import retries the other one.")).to_be_visible()
    expect(page.get_by_role("link", name=f"#{failed}", exact=True)).to_be_visible()
    retrying = page.url.partition("?")[0].rpartition("/")[2]
    page.get_by_role("link", name="Cancel import").click()
    page.get_by_role("button", name="Cancel the import").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    page.wait_for_load_state()  # before its script runs, the link leads to a page of its own
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("Imported rows stay.")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Import deleted.")).to_be_visible()
    expect(page.locator(f"#import-{retrying}")).to_have_count(0)


def test_everything_works_without_script(stage, failed, visit):
    page = visit(java_script_enabled=False).page
    page.get_by_role("link", name="Run import").click()
    page.get_by_role("button", name="Run import").click()
    expect(page.get_by_text("Extra import requested.")).to_be_visible()
    page.get_by_label("Status").get_by_role("link", name="completed").click()
    page.get_by_role("link", name=f"items #{failed}").click()
    page.get_by_role("link", name="Retry 3 items").click()
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("link", name="Cancel import").click()
    page.get_by_role("button", name="Cancel the import").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Import deleted.")).to_be_visible()


def test_the_keyboard_is_enough(stage, visit):
    page = visit().page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    run = page.get_by_role("link", name="Run import")
    expect(run).to_be_focused()
    with page.expect_response(lambda response: response.request.is_navigation_request() is False):
        page.clock.run_for(5_000)  # over a refresh
    expect(run).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="NEW")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(run).to_be_focused()


def test_the_panel_says_where_it_is_and_stops_at_ctrl_c(script, command):
    port = free_port()
    panel = script.start("panel", PANEL_PORT=str(port))
    assert panel.process.stderr.readline() == f"Panel  http://127.0.0.1:{port}  Ctrl-C stops it.\n"
    eventually(lambda: answers(f"http://127.0.0.1:{port}"), "the panel answers")
    ended = command.run("panel", status=2, PANEL_PORT=str(port))
    assert ended.sentence == f"port {port} is in use: stop the program there, or set PANEL_PORT to another port"
    panel.signal(signal.SIGINT)
    assert (panel.end().status, answers(f"http://127.0.0.1:{port}")) == (0, False)


def test_other_machines_are_let_in_with_a_token_only(command):
    refused = command.run("panel", status=2, PANEL_HOST="0.0.0.0").sentence
    assert refused.startswith("PANEL_TOKEN: expected a token, since PANEL_HOST 0.0.0.0 lets other machines in")


LOOKS = [
    ("light", 1400),
    ("dark", 400),
    pytest.param("light", 400, marks=pytest.mark.nightly),
    pytest.param("dark", 1400, marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_axe_finds_nothing_serious_and_nothing_is_cut_off(stage, failed, visit, scheme, width):
    visitor = visit(color_scheme=scheme, viewport={"width": width, "height": 900})
    for path in PAGES:
        page = visitor.go(path.format(failed=failed))
        assert serious(Axe().run(page).response) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    visitor.complaints.clear()  # the page that there is not is a 404 on purpose
