"""A panel with imports in every state, for the pictures of `screenshots.py`."""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.rules.status import ImportStatus
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking import imports
from import_pipeline_tests.acceptance.command_line import free_port
from import_pipeline_tests.support.panel_client import add_import
from import_pipeline_tests.support.second_source import Books
from source_api.process import serve

LIMITS = "50/2 second; 200/10 second"
FAULTS = ["7=status:422", "9=status:410", "12=status:403", "15=status:422"]
#: Imports of the days before, every three hours; they fill more than one page.
PAST_IMPORTS = 48
#: The item at which the API asks for a long pause.
PAUSED_AT, PAUSE_SECONDS = 430, 600
#: Seconds from the start of a slow import to its picture: 200 of 400 items are done.
HALF_WAY = 11.0


class KeptItems(ItemsSource):
    """The example, with the answers of failed items kept."""

    keep_payloads = True


#: Named by IMPORT_PIPELINE_SOURCES for the whole set.
SOURCES = [KeptItems(), Books()]


class Panel:
    """A panel over a state folder of its own."""

    def __init__(self, folder: str, api: str, **settings: str) -> None:
        port = str(free_port())
        self.address = f"http://127.0.0.1:{port}"
        basic = {"IMPORT_PIPELINE_HOME": folder, "ITEMS_BASE_URL": api, "PANEL_PORT": port, "ITEMS_BACKOFF": "2"}
        self.settings = basic | settings
        self._folder = folder

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command in the state folder, without its output."""
        return subprocess.Popen(
            [sys.executable, "-m", "import_pipeline", *arguments],
            env={**os.environ, **self.settings, **environment},
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *arguments: str, **environment: str) -> int:
        """Run a command to its end; return the newest import's id."""
        self.start(*arguments, **environment).wait()
        return max((each["import_id"] for each in self.imports()), default=0)

    def imports(self, status: str = "") -> list[dict[str, Any]]:
        """Return the imports, the newest first; an empty list if the panel does not answer."""
        try:
            query = {"sort": "-id"} | ({"status": status} if status else {})
            return list(httpx.get(f"{self.address}/api/imports", params=query).json()["imports"])
        except httpx.TransportError:
            return []

    def wait_for(self, number: int, status: str = "") -> list[dict[str, Any]]:
        """Wait for that number of imports; return them."""
        while len(found := self.imports(status)) < number:
            time.sleep(0.1)
        return found

    def wait_for_pause(self, import_id: int) -> None:
        """Wait until the API has requested a pause of the import."""
        with self.installation() as installation:
            while True:
                with installation.database.read() as connection:
                    if imports.get(connection, import_id).blocked_until:
                        return
                time.sleep(0.2)

    @contextmanager
    def serving(self) -> Iterator["Panel"]:
        """Serve the panel until the end of the block."""
        server = self.start("panel", "--quiet")
        try:
            while not self.answers():
                time.sleep(0.1)
            yield self
        finally:
            server.terminate()
            server.wait()

    @contextmanager
    def installation(self) -> Iterator[Installation]:
        """Open the installation, to insert rows."""
        with open_installation(load_settings(self.settings, Path(self._folder))) as installation:
            yield installation

    def answers(self) -> bool:
        """Return True if the panel answers."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.address}/static/icon.svg").is_success
        return False


@contextmanager
def a_panel(*options: str, **settings: str) -> Iterator[Panel]:
    """Serve a panel over an empty folder, and a demo API with those options."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve("--limits", LIMITS, *options) as api,
        Panel(folder, api, **settings).serving() as panel,
    ):
        yield panel


@contextmanager
def readme_panel() -> Iterator[Panel]:
    """Serve a panel with some completed imports and a scheduled one."""
    with a_panel(*(part for fault in FAULTS for part in ("--fault", fault))) as panel:
        panel.run("run", "items", "--limit", "120", ITEMS_LIMITS=LIMITS)
        panel.run("run", "items", "--only", "3,17,40", ITEMS_LIMITS=LIMITS)
        panel.run("reschedule", "items")
        panel.run("start-scheduled", "items", ITEMS_LIMITS=LIMITS)
        panel.run("start-scheduled", "items", ITEMS_LIMITS=LIMITS)
        yield panel


@contextmanager
def full_panel() -> Iterator[tuple[Panel, dict[str, int]]]:
    """Serve a panel with an import in every state; yield it and state -> import id. One import runs for minutes."""
    faults = [*FAULTS, "20=status:500*1", "21=garbage", f"{PAUSED_AT}=status:429:{PAUSE_SECONDS}*1"]
    options = [part for fault in faults for part in ("--fault", fault)]
    sources = {"IMPORT_PIPELINE_SOURCES": "stage:SOURCES", "PYTHONPATH": str(Path(__file__).parent)}
    with a_panel("--items", "1200", *options, ITEMS_LIMITS=LIMITS, **sources) as panel:
        _add_the_past(panel)
        ids = {"few": panel.run("run", "items", "--only", "3,17,40")}
        ids["failures"] = panel.run("run", "items", "--limit", "120", ITEMS_TRIES="2")
        ids["completed"] = panel.run("run", "items", "--limit", "200")
        closed = {"ITEMS_BASE_URL": "http://127.0.0.1:9", "ITEMS_MAX_OUTAGE": "1"}
        ids["failed"] = panel.run("run", "items", "--fresh", "--yes", **closed)
        stopped = panel.start("run", "items", "--fresh", "--yes")
        ids["cancelled"] = panel.wait_for(1, "running")[0]["import_id"]
        time.sleep(5)
        panel.run("cancel", str(ids["cancelled"]), "--yes", "--reason", "the shop is closed today")
        stopped.wait()
        ids["retry"] = panel.run("retry", str(ids["cancelled"]))
        panel.run("request", "items")
        ids["overdue"] = _add_slot(panel, timedelta(minutes=-40))
        ids["scheduled"] = _add_slot(panel, timedelta(minutes=140))
        slow = panel.start("run", "items", "--fresh", "--yes")
        try:
            ids["running"] = panel.wait_for(1, "running")[0]["import_id"]
            time.sleep(HALF_WAY)
            yield panel, ids
        finally:
            slow.kill()
            slow.wait()


def _add_the_past(panel: Panel) -> None:
    """Insert rows of earlier imports."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    chance = random.Random(1)  # noqa: S311 (a picture)
    with panel.installation() as installation:
        for place in range(PAST_IMPORTS):
            at = now - timedelta(hours=3 * (PAST_IMPORTS - place))
            total = 12_000 + 40 * place
            failed = chance.choice((0, 0, 0, 1, 214))
            seconds = total / chance.uniform(17, 20)
            add_import(
                installation,
                status=ImportStatus.COMPLETED,
                slot_at=at,
                scheduled_at=at,
                started_at=at + timedelta(seconds=chance.uniform(1, 6)),
                ended_at=at + timedelta(seconds=seconds),
                items_count=total,
                items_imported_count=total // 3,
                items_unchanged_count=total - total // 3 - failed,
                items_failed_count=failed,
                requests_count=total // 3 + total // 100,
                rate_limit_hits_count=chance.choice((0, 0, 0, 3)),
                rate_limit_sleeps_count=total // 60,
                total_sleep_seconds=seconds * 0.9,
            )


def _add_slot(panel: Panel, ahead: timedelta) -> int:
    at = (datetime.now(UTC) + ahead).replace(second=0, microsecond=0)
    with panel.installation() as installation:
        return add_import(installation, slot_at=at, scheduled_at=at)
