"""Makes the README's pictures of the panel anew, from real imports of the demo API: `python docs/screenshots.py`."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser

from import_pipeline_tests.acceptance.outside import free_port
from import_pipeline_tests.browser import open_browser
from source_api.process import serve

IMAGES = Path(__file__).parent / "images"
LIMITS = "50/2 second; 200/10 second"
FAULTS = ["7=status:404", "9=status:410", "12=body:{}", "15=status:404"]
#: Seconds after the slow import's start at which it is taken: 200 of 400 items.
HALF_WAY = 11.0


class Panel:
    """A panel over a state folder of its own."""

    def __init__(self, folder: str, api: str) -> None:
        port = str(free_port())
        self.address = f"http://127.0.0.1:{port}"
        settings = {"IMPORT_PIPELINE_HOME": folder, "ITEMS_BASE_URL": api, "PANEL_PORT": port, "ITEMS_BACKOFF": "2"}
        self._environment = {**os.environ, **settings}
        self._folder = folder

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """A command of ours, quietly."""
        return subprocess.Popen(  # noqa: S603 (our own interpreter and fixed arguments)
            [sys.executable, "-m", "import_pipeline", *arguments],
            env=self._environment | environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def imports(self, status: str = "") -> list[dict[str, Any]]:
        """The imports, the newest first; none while the panel does not answer yet."""
        try:
            return list(httpx.get(f"{self.address}/api/imports?sort=-id&status={status}").json()["imports"])
        except httpx.TransportError:
            return []

    def wait_for(self, number: int, status: str = "") -> list[dict[str, Any]]:
        """Until there are so many imports."""
        while len(found := self.imports(status)) < number:
            time.sleep(0.1)
        return found


@contextmanager
def running_panel() -> Iterator[Panel]:
    """A panel with some imports behind it and one to come."""
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    with tempfile.TemporaryDirectory() as folder, serve("--limits", LIMITS, *faults) as api:
        panel = Panel(folder, api)
        server = panel.start("panel", "--quiet")
        try:
            panel.start("run", "items", "--limit", "120", ITEMS_LIMITS=LIMITS).wait()
            panel.start("run", "items", "--only", "3,17,40", ITEMS_LIMITS=LIMITS).wait()
            panel.start("reschedule", "items").wait()
            panel.start("start-scheduled", "items", ITEMS_LIMITS=LIMITS).wait()
            panel.start("start-scheduled", "items", ITEMS_LIMITS=LIMITS).wait()
            yield panel
        finally:
            server.terminate()
            server.wait()


def take(browser: Browser, url: str, name: str, *, width: int, height: int, scheme: Any) -> None:
    """One picture."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB", timezone_id="UTC"
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(600)  # bars move to their places
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()


def main() -> None:
    """Three pictures: the list and one import while it runs, and one with failures on a narrow screen."""
    IMAGES.mkdir(exist_ok=True)
    with running_panel() as panel, open_browser() as browser:
        failed = next(each["import_id"] for each in panel.imports() if each["items_failed_count"])
        slow = panel.start("run", "items", "--fresh", "--yes", ITEMS_LIMITS=LIMITS)
        running = panel.wait_for(1, "running")[0]["import_id"]
        time.sleep(HALF_WAY)
        take(browser, panel.address, "panel-list", width=1280, height=620, scheme="light")
        take(browser, f"{panel.address}/imports/{running}", "panel-import", width=1280, height=780, scheme="dark")
        take(browser, f"{panel.address}/imports/{failed}", "panel-narrow", width=400, height=780, scheme="light")
        slow.wait()


if __name__ == "__main__":
    main()
