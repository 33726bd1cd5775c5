"""The panel in a real browser at widths between a telephone and a wide screen, and the focus of its dialogs."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Route, expect

from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.panel.app import create_panel
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.browser import open_browser
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.imports import served, settings
from import_pipeline_tests.support.panel_client import add_import

WIDTHS = (360, 880, 1024, 1099, 1101, 1240, 1280, 1400)
#: A resumed import with every part of a row: unchanged, failed, active, sleeping and without a process.
RESUMED = {
    "status": "completed",
    "started_at": NOON,
    "ended_at": NOON + timedelta(seconds=4_000),
    "heartbeat_at": NOON,
    "elapsed_seconds": 4_000.0,
    "total_sleep_seconds": 1_234.5,
    "items_count": 1_234_567,
    "items_imported_count": 1_000_000,
    "items_unchanged_count": 200_000,
    "items_failed_count": 12_345,
    "rate_limit_hits_count": 123,
    "rate_limit_sleeps_count": 4_567,
    "resumes": 1,
    "metadata": {"away": 83.0},
}


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    """Open a page of a panel with one resumed import, number 1."""
    home = tmp_path_factory.mktemp("panel") / "home"
    configured = settings(home, "http://127.0.0.1:9")
    with open_installation(configured, configure([ItemsSource()], configured)) as installation:
        add_import(installation, **RESUMED)
        with served(create_panel(installation)) as url, open_browser() as browser:
            opened = browser.new_page()

            def page_of(path, width=1280):
                opened.set_viewport_size({"width": width, "height": 900})
                opened.goto(url + path)
                return opened

            yield page_of


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/imports/1"])
def test_no_page_is_wider_than_the_window(page_of, path, width):
    page = page_of(path, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_no_figure_of_the_items_breaks(page_of, width):
    for figure in page_of("/", width).locator(".items .split > span").all():
        assert figure.bounding_box()["height"] < 30, figure.text_content()


@pytest.mark.parametrize("button", ["Delete"])
def test_a_destructive_dialog_focuses_its_back_button(page_of, button):
    page = page_of("/imports/1")
    page.get_by_role("link", name=button).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("link", name="Back")).to_be_focused()
    named = dialog.get_by_role("button", name="Delete import 1 and 1,234,567 item rows")
    expect(named).to_have_css("background-color", "rgb(179, 38, 30)")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_contain_text("#1")


def test_a_fresh_start_turns_the_button_red_and_names_it(page_of):
    page = page_of("/run")
    expect(page.get_by_role("button", name="Run import", exact=True)).to_be_visible()
    page.get_by_text("More").click()
    page.get_by_role("checkbox", name="Start afresh").check()
    button = page.get_by_role("button", name="Run import and delete missing rows", exact=True)
    expect(button).to_have_css("background-color", "rgb(179, 38, 30)")
    page.get_by_role("radio", name="RESCHEDULE").check()
    expect(page.get_by_role("button", name="Run import", exact=True)).to_be_visible()


def test_the_message_after_an_action_disappears(page_of):
    page = page_of("/")
    page.clock.install()
    page.goto(page.url + "?done=new&status=completed")
    expect(page.get_by_text("Extra import requested.")).to_be_visible()
    refreshes = list[Route]()
    page.route(re.compile("done=new"), lambda route, _: refreshes.append(route))
    with page.expect_request(re.compile("done=new")):
        page.clock.run_for(16_000)
    expect(page.get_by_text("Extra import requested.")).to_have_count(0)
    for refresh in refreshes:  # a refresh that is answered late has the message
        with page.expect_response(re.compile("done=new")) as answered:
            refresh.continue_()
        answered.value.finished()
    assert refreshes
    page.evaluate("() => fetch('/health')")  # by its answer, the one before was shown
    assert page.get_by_text("Extra import requested.").count() == 0
    expect(page).to_have_url(re.compile(r"/\?status=completed$"))
