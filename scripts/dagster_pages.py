"""Take pictures of Dagster's pages, from a real `dagster dev` with a few imports. Used by `screenshots.py`."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page
from stage import FAULTS, LIMITS

from import_pipeline_tests.acceptance.command_line import eventually
from import_pipeline_tests.acceptance.dagster_dev import DagsterDev

CHECKOUT = Path(__file__).parents[1]
LOCATION = "/locations/import_pipeline.definitions"
IMPORTS = 3
#: Dagster's pages load piece by piece.
LOADED_MILLISECONDS = 3500
RUNS = "{ runsOrError { ... on Runs { results { runId jobName } } } }"


@contextmanager
def a_dagster() -> Iterator[DagsterDev]:
    """Start a `dagster dev` in which some imports have ended and one runs."""
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    with tempfile.TemporaryDirectory() as folder:
        dev = DagsterDev(
            CHECKOUT, Path(folder), ITEMS_LIMITS=LIMITS, ITEMS_SLOTS="0,3,6,9,12,15,18,21", ITEMS_BACKOFF="2"
        )
        try:
            dev.start()
            with dev.serving("--items", "400", "--limits", LIMITS, "--delay-after", "0", *faults):
                for number in range(IMPORTS + 1):
                    dev.ui.launch("request_items_import", write_down_request_for_items={"mode": "new", "fresh": True})
                    condition = f"started_at IS NOT NULL AND (ended_at IS NOT NULL OR {number} = {IMPORTS})"
                    eventually(lambda: len(dev.imports(condition)) > number, "an import more", 120)  # noqa: B023 (at once)
                yield dev
        finally:
            dev.end()


def take_dagster(browser: Browser, folder: Path) -> None:
    """Take each page once, in a wide window: light and dark pages hardly differ."""
    folder.mkdir(parents=True, exist_ok=True)
    with a_dagster() as dev:
        runs = httpx.post(f"{dev.ui.address}/graphql", json={"query": RUNS}).json()["data"]["runsOrError"]["results"]
        imports = [run["runId"] for run in runs if run["jobName"] == "import_items"]
        for name, (path, act) in pages(running=imports[0], ended=imports[-1]).items():
            size = {"width": 1400, "height": 2400 if name.endswith("plots") else 1000}
            context = browser.new_context(viewport=size, locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]
            page = context.new_page()
            page.goto(dev.ui.address + path)
            page.wait_for_timeout(LOADED_MILLISECONDS)
            act(page)
            page.screenshot(path=folder / f"dagster-{name}.png")
            context.close()


def click(text: str) -> Callable[[Page], None]:
    """Return an action that clicks on the first element with that text."""

    def act(page: Page) -> None:
        page.get_by_text(text, exact=True).first.click()
        page.wait_for_timeout(LOADED_MILLISECONDS)

    return act


def open_a_tick(page: Page) -> None:
    """Open the dialog of the latest but one tick."""
    page.get_by_role("row").filter(has_text="View logs").nth(1).locator("td").nth(4).get_by_text("requested").click()
    page.wait_for_timeout(LOADED_MILLISECONDS)


def look(page: Page) -> None:
    """Do nothing."""


def pages(*, running: str, ended: str) -> Mapping[str, tuple[str, Callable[[Page], None]]]:
    """Return name -> (path, action)."""
    return {
        "run-running": (f"/runs/{running}", look),
        "catalog": ("/assets", look),
        "discovered": ("/assets/discovered_items", look),
        "discovered-plots": ("/assets/discovered_items", click("Plots")),
        "enriched": ("/assets/enriched_items", look),
        "enriched-partitions": ("/assets/enriched_items?view=partitions&partition=17", look),
        "enriched-events": ("/assets/enriched_items?view=events", look),
        "enriched-checks": ("/assets/enriched_items?view=checks", look),
        "imports": ("/assets/imports", look),
        "imports-plots": ("/assets/imports", click("Plots")),
        "items-of-imports": ("/assets/import_item_statuses", look),
        "application": ("/assets/items", look),
        "runs": ("/runs", look),
        "run-ended": (f"/runs/{ended}", look),
        "run-tags": (f"/runs/{ended}", click("View tags and config")),
        "automation": ("/automation", look),
        "schedule": (f"{LOCATION}/schedules/items_slots", look),
        "sensor": (f"{LOCATION}/sensors/items_sensor", look),
        "sensor-tick": (f"{LOCATION}/sensors/items_sensor", open_a_tick),
        "jobs": ("/jobs", look),
        "launchpad": (f"{LOCATION}/jobs/request_items_import/playground", look),
        "lineage": ("/asset-groups", look),
    }
