"""Take pictures of the panel and of Dagster's pages, with imports of the demo API.

`python scripts/screenshots.py` renews the three in docs/images. `--all FOLDER` takes every page of the panel in every
state, light and dark, narrow and wide, with an index.html that shows them side by side. `--dagster FOLDER` takes
Dagster's pages.
"""

import argparse
import itertools
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster_pages import take_dagster
from playwright.sync_api import Browser, Page
from stage import HALF_WAY, LIMITS, a_panel, full_panel, readme_panel

from import_pipeline_tests.support.browser import open_browser

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SCHEMES = ("light", "dark")
WIDTHS = (1400, 400)
#: Bars move to their places within this.
SETTLED_MILLISECONDS = 600


@contextmanager
def opened(browser: Browser, url: str, *, width: int, height: int, scheme: Any) -> Iterator[Page]:
    """Yield a page as one visitor sees it."""
    size: Any = {"width": width, "height": height}
    context = browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB", timezone_id="UTC")
    try:
        page = context.new_page()
        page.goto(url)
        page.wait_for_timeout(SETTLED_MILLISECONDS)
        yield page
    finally:
        context.close()


def take_for_readme(browser: Browser) -> None:
    """Take the list, one import while it runs, and one with failures on a narrow screen."""

    def take(path: str, name: str, *, width: int, height: int, scheme: str) -> None:
        with opened(browser, panel.address + path, width=width, height=height, scheme=scheme) as page:
            page.screenshot(path=IMAGES / f"{name}.png")

    IMAGES.mkdir(exist_ok=True)
    with readme_panel() as panel:
        failed = next(each["import_id"] for each in panel.imports() if each["items_failed_count"])
        slow = panel.start("run", "items", "--fresh", "--yes", ITEMS_LIMITS=LIMITS)
        running = panel.wait_for(1, "running")[0]["import_id"]
        time.sleep(HALF_WAY)
        take("/", "panel-list", width=1280, height=620, scheme="light")
        take(f"/imports/{running}", "panel-import", width=1280, height=780, scheme="dark")
        take(f"/imports/{failed}", "panel-narrow", width=400, height=780, scheme="light")
        slow.wait()


def press(*names: str) -> Callable[[Page], None]:
    """Follow these links or open these details, one after the other."""

    def act(page: Page) -> None:
        for name in names:
            page.get_by_role("link", name=name).or_(page.locator("summary", has_text=name)).first.click()
            page.wait_for_timeout(SETTLED_MILLISECONDS)

    return act


def as_it_is(page: Page) -> None:
    """Do nothing."""


def lose_the_panel(page: Page) -> None:
    """Cut the page off from its server."""
    page.route("**/*", lambda route: route.abort())
    page.locator("#offline").wait_for()


def take_all(browser: Browser, folder: Path) -> None:
    """Take every page in every state."""
    folder.mkdir(parents=True, exist_ok=True)
    with full_panel() as (panel, ids):
        detail = {name: f"/imports/{number}" for name, number in ids.items()}
        take_each(browser, folder, panel.address, while_it_runs(detail))
        take_each(browser, folder, panel.address, afterwards(detail))
        panel.wait_for_pause(ids["running"])
        take_each(browser, folder, panel.address, {"import-paused": (detail["running"], as_it_is)})
    with a_panel(PANEL_TOKEN=secrets.token_hex()) as panel:
        take_each(browser, folder, panel.address, {"login": ("/", as_it_is)})
    with a_panel() as panel:
        take_each(browser, folder, panel.address, {"list-empty": ("/", as_it_is)})
    show_side_by_side(folder)


Scenes = Mapping[str, tuple[str, Callable[[Page], None]]]


def while_it_runs(detail: Mapping[str, str]) -> Scenes:
    """Return name -> (path, action) for the running import."""
    return {
        "import-running": (detail["running"], as_it_is),
        "list": ("/", as_it_is),
        "dialog-cancel": (detail["running"], press("Cancel import")),
    }


def afterwards(detail: Mapping[str, str]) -> Scenes:
    """Return name -> (path, action) for imports that have ended, and for the list."""
    return {
        **{f"import-{name}": (path, as_it_is) for name, path in detail.items() if name != "running"},
        "import-failures-open": (detail["failures"], press("Failed items", "Response of the API")),
        "list-page-2": ("/?page=2", as_it_is),
        "list-filtered": ("/?source=items&status=failed", as_it_is),
        "list-nothing": ("/?source=books", as_it_is),
        "list-sorted": ("/?sort=-hits&status=completed", as_it_is),
        "list-offline": ("/", lose_the_panel),
        "dialog-run": ("/", press("Run import")),
        "dialog-run-more": ("/?source=items", press("Run import", "More")),
        "dialog-retry": (detail["failures"], press("Retry")),
        "dialog-delete": (detail["completed"], press("Delete")),
        "page-run": ("/run", as_it_is),
        "page-not-possible": (detail["completed"] + "/cancel", as_it_is),
        "page-not-found": ("/imports/999999", as_it_is),
    }


def take_each(browser: Browser, folder: Path, address: str, scenes: Scenes) -> None:
    """Take each scene, light and dark, wide and narrow."""
    for (name, (path, act)), scheme, width in itertools.product(scenes.items(), SCHEMES, WIDTHS):
        with opened(browser, address + path, width=width, height=900, scheme=scheme) as page:
            act(page)
            # A dialog covers the window; a long page is taken whole.
            page.screenshot(path=folder / f"{name}.{scheme}.{width}.png", full_page=not name.startswith("dialog"))


def show_side_by_side(folder: Path) -> None:
    """Write an index.html of all pictures, a scene a row."""
    scenes = sorted({path.name.split(".")[0] for path in folder.glob("*.png")})
    rows = [
        f"<h2>{scene}</h2><p>"
        + " ".join(
            f'<img src="{scene}.{scheme}.{width}.png" style="width:{width // 3}px" alt="{scheme}, {width} pixels">'
            for scheme, width in itertools.product(SCHEMES, WIDTHS)
        )
        + "</p>"
        for scene in scenes
    ]
    (folder / "index.html").write_text("<!doctype html><title>The panel</title>" + "".join(rows))


def main() -> None:
    """Take the pictures that the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="take every page in every state into this folder")
    parser.add_argument("--dagster", type=Path, metavar="FOLDER", help="take Dagster's pages into this folder")
    asked = parser.parse_args()
    with open_browser() as browser:
        if asked.all:
            take_all(browser, asked.all)
        if asked.dagster:
            take_dagster(browser, asked.dagster)
        if not asked.all and not asked.dagster:
            take_for_readme(browser)


if __name__ == "__main__":
    sys.exit(main())
