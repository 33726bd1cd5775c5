"""A `dagster dev` that a module's tests share. Each test serves its own API at the same address."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta

from import_pipeline_tests.acceptance.command_line import (
    DAGSTER,
    CommandLine,
    RunningCommand,
    eventually,
    far_slot,
    free_port,
    processes_of,
    rows,
    stats,
    tracking,
)
from import_pipeline_tests.acceptance.dagster_ui import DagsterUi
from import_pipeline_tests.support import http
from import_pipeline_tests.support.forked_cli import serve

#: Options of every server: slow answers, so that requests are in flight.
SLOWLY = ("--limits", "none", "--delay-after", "150")


class DagsterDev:
    """A `dagster dev` in a checkout, a command line with its settings, and the address of the tests' API."""

    def __init__(self, checkout, folder, **settings):
        self.home = folder / "state"  # not the test's own: `kill` must not end other processes of a test
        self.ui = DagsterUi(f"http://127.0.0.1:{free_port()}")
        self.api = f"http://127.0.0.1:{free_port()}"
        environment = {
            "PYTHONPATH": str(checkout),
            "IMPORT_PIPELINE_HOME": str(self.home),
            "ITEMS_BASE_URL": self.api,
            "ITEMS_LIMITS": "100000/1 second",
            "ITEMS_CONCURRENCY": "3",
            "ITEMS_CEILING": "3",
            "ITEMS_LEASE": "3",
            "ITEMS_SLOTS": far_slot(),
            **settings,
        }
        self.dagster = CommandLine(checkout, *DAGSTER)
        self.command = CommandLine(folder)
        self.dagster.environment = self.command.environment = environment

    def start(self):
        """Create the tables, start it, and wait until its UI has loaded the definitions."""
        self.command.run("migrate")  # else the daemon's first tick does, at some moment of the first test
        # Not into a pipe: a full pipe would block the processes that write to it.
        with (self.home.parent / "dagster.log").open("a") as said:
            process = subprocess.Popen(
                [*self.dagster.program, "dev", "--port", self.ui.address.rpartition(":")[2]],
                cwd=self.dagster.folder,
                env={**os.environ, **self.dagster.environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                text=True,
            )
        self.process = RunningCommand(process)
        self.ui.wait(seconds=240)

    def stop(self):
        if self.process.is_running:
            self.process.signal(signal.SIGINT)
            self.process.end()
        eventually(lambda: not processes_of(self.home), "all of dagster dev has ended")

    def end(self):
        """Stop all its processes; kill those that do not end in time."""
        try:
            with suppress(subprocess.TimeoutExpired):
                self.stop()
        finally:
            for pid in processes_of(self.home):
                os.kill(pid, signal.SIGKILL)
            self.process.process.wait()

    def kill(self):
        """Kill the servers, the daemon and the workers at once, as a power cut does."""
        for pid in processes_of(self.home):
            os.kill(pid, signal.SIGKILL)
        self.process.process.communicate()

    @contextmanager
    def serving(self, *options):
        """Serve the demo API at this installation's address; before it stops, wait for the running import."""
        with serve(*SLOWLY, *options, "--port", self.api.rpartition(":")[2]):
            try:
                yield
            finally:
                eventually(lambda: not self.imports("status = 'running'"), "the running import has ended")

    def query(self, statement):
        return rows(tracking(self.home), statement)

    def imports(self, condition="true"):
        return self.query(f"SELECT * FROM imports WHERE {condition} ORDER BY id")

    def row(self, import_id):
        [row] = self.imports(f"id = {import_id}")
        return row

    def wait_for(self, condition, what=None):
        """Wait for an import that meets the SQL condition, and return it."""
        return eventually(lambda: self.imports(condition), what or f"an import with {condition}")[-1]

    def ended(self, import_id, status):
        eventually(lambda: self.row(import_id)["ended_at"], f"import {import_id} has ended")
        row = self.row(import_id)
        assert row["status"] == status, row
        return row

    def execute(self, statement, *values):
        with closing(sqlite3.connect(self.home / "import_pipeline.db", timeout=20)) as connection, connection:
            connection.execute(statement, values)

    def details(self):
        return stats(self.api)["details"]

    def requests_at(self):
        """Return the arrival time of each admitted request, in seconds since 1970."""
        offset = time.time() - time.monotonic()
        return [offset + moment for moment, _, _ in http.get(f"{self.api}/_log").json()]


def moment(text):
    """Return a time of a row in seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def hours_ago(hours):
    """Return a slot of that many hours ago, as settings name it and as the database stores it."""
    slot = datetime.now(UTC) - timedelta(hours=hours)
    return f"{slot:%H:%M}", f"{slot:%Y-%m-%d %H:%M}:00.000000"
