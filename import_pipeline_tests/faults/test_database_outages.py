"""The database restarts, is locked, full or read-only while an import runs: it waits, or ends with a clear error."""

import os
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from itertools import count

import pytest
from sqlalchemy import text

from import_pipeline import run_import
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.acceptance.command_line import some_details, stats
from import_pipeline_tests.faults.crash_points import CrashPoints, import_past
from import_pipeline_tests.faults.invariants import assert_invariants, forget_everything
from import_pipeline_tests.support.database_servers import PostgresServer
from import_pipeline_tests.support.imports import demo_api, ending_of, import_process, latest, settings
from import_pipeline_tests.support.lifecycle import tracking_database

ITEMS, IN_FLIGHT = 60, 4
SETTINGS = {
    "ITEMS_CONCURRENCY": str(IN_FLIGHT),
    "ITEMS_CEILING": str(IN_FLIGHT),
    "ITEMS_PER_PAGE": "20",
    "ITEMS_TIMEOUT": "10",
}


@pytest.fixture(scope="module")
def api():
    """A demo API with slow responses: an import runs long enough for a trouble to reach it."""
    with demo_api(items=ITEMS, delay_after_ms=150) as url:
        yield url


@pytest.fixture
def configured(home, api, database_url):
    """Settings of an import that has not begun, with its tables created."""
    return prepared(home, api, database_url)


def prepared(home, api, database_url):
    with tracking_database(database_url):
        pass
    configured = settings(home, api, DATABASE_URL=database_url, **SETTINGS)
    forget_everything(configured, api)
    return configured


def assert_the_next_run_completes(configured, api):
    summary = run_import("items", settings=configured)
    assert (summary.status, summary.items_count, summary.items_failed_count) == ("completed", ITEMS, 0)
    return assert_invariants(configured, api, items=ITEMS, most_repeated=IN_FLIGHT)


@pytest.fixture
def own_postgres():
    """A server that the test may kill."""
    with PostgresServer() as server:
        yield server


@pytest.mark.nightly
@pytest.mark.parametrize("away_seconds", [0, 10])
def test_a_postgres_that_is_killed_and_restarted_in_the_middle(home, api, own_postgres, away_seconds):
    configured = prepared(home, api, own_postgres.create_database())
    with import_process(configured) as process:
        some_details(api, 10)
        own_postgres.kill()
        time.sleep(away_seconds)
        own_postgres.start()
        assert ending_of(process) is None
    assert latest(configured).status == "completed"
    assert_invariants(configured, api, items=ITEMS, most_repeated=IN_FLIGHT)


def replica(url):
    """Make the server read-only, as a primary after a failover; all clients must reconnect."""
    name = url.rpartition("/")[2]
    with closing(Database(url)) as database, database.write() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"), {"name": name})


def primary(url):
    """Make the server writable again."""
    name = url.rpartition("/")[2]
    with closing(Database(url)) as database, database.engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ WRITE"))
        connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        connection.commit()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_postgres_that_becomes_read_only_in_the_middle(configured, api):
    with import_process(configured) as process:
        some_details(api, 10)
        replica(configured.database_url)
        ending = ending_of(process)
    assert ending.startswith("DatabaseUnavailable: the tracking database postgresql")
    with pytest.raises(DatabaseUnavailable, match=r"cannot execute .* in a read-only transaction"):
        run_import("items", settings=configured)
    primary(configured.database_url)
    assert_the_next_run_completes(configured, api)


def test_a_read_only_file_is_reported_in_one_sentence_before_any_request(configured, api, home):
    if not configured.database_url.startswith("sqlite"):
        replica(configured.database_url)
        read_only = configured
    else:
        path = configured.database_url.removeprefix("sqlite:///")
        read_only = settings(home, api, DATABASE_URL=f"sqlite:///file:{path}?mode=ro&uri=true", **SETTINGS)
    with pytest.raises(DatabaseUnavailable, match=r"read-?only"):
        run_import("items", settings=read_only)
    assert stats(api)["requests"] == 0


@contextmanager
def locked(database):
    """Block all other writers."""
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("LOCK TABLE imports IN EXCLUSIVE MODE"))
        yield


@pytest.mark.nightly
@pytest.mark.parametrize("lock_seconds", [1, 20])
def test_an_import_waits_for_a_locked_database(configured, api, lock_seconds, record_property):
    with import_process(configured) as process, closing(Database(configured.database_url)) as database:
        some_details(api, 10)
        with locked(database):
            time.sleep(0.3)
            before = stats(api)["requests"]
            time.sleep(lock_seconds)
            assert stats(api)["requests"] - before <= 1, "what cannot be stored is not asked for"
        assert ending_of(process) is None
    record_property("kept", str(assert_invariants(configured, api, items=ITEMS)))


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_disk_that_is_full_after_any_number_of_pages(configured, api, dead_worker, record_property):
    full = 0
    for spare in count():
        forget_everything(configured, api)
        ending = with_pages(configured, dead_worker, pages_in_use(configured) + spare)
        if ending == "completed":
            break
        assert ending.endswith("database or disk is full. Make room on its disk; what is done is kept")
        full += 1
        assert_the_next_run_completes(configured, api)
    record_property("sizes", full)
    assert full >= 3


class SmallDisk(PostgresServer):
    """A server with its data on a small disk in memory. Only root can mount one."""

    size_mb = 160

    def prepare(self):
        assert os.geteuid() == 0, "a small disk has to be mounted for this test: run it as root"
        mount("mount", "-t", "tmpfs", "-o", f"size={self.size_mb}m,mode=755", "small-disk", str(self.folder))
        super().prepare()

    def remove(self):
        self.stop()
        mount("umount", str(self.folder))
        super().remove()

    def fill(self):
        """Fill the disk, so that writes fail."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while ballast.write(bytes(4096)):
                pass

    def make_room(self):
        (self.folder / "ballast").unlink()


def mount(*command):
    subprocess.run(command, check=True)


@pytest.fixture
def small_disk():
    with SmallDisk() as server:
        yield server


@pytest.mark.nightly
@pytest.mark.parametrize("details", [0, 1, 150, 300])
def test_a_disk_that_is_really_full_under_postgres(home, small_disk, details):
    """There are so many items that their rows always need more space than is left."""
    items = 600
    with demo_api(items=items, delay_after_ms=10) as api:
        configured = prepared(home, api, small_disk.create_database())
        with import_process(configured) as process:
            some_details(api, details)
            small_disk.fill()
            ending = ending_of(process)
        assert ending is not None, "there was room for everything"
        assert ending.startswith("DatabaseUnavailable: the tracking database postgresql")
        assert "No space left on device" in ending
        small_disk.make_room()
        assert run_import("items", settings=configured).status == "completed"
        assert_invariants(configured, api, items=items, most_repeated=IN_FLIGHT)


def pages_in_use(configured):
    """Return the size of the file in pages once it has no free ones."""
    path = configured.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        return connection.execute("PRAGMA page_count").fetchone()[0]


def with_pages(configured, worker, most):
    """Import into a file that may grow to that many pages; return how it ended."""

    def limit(connection):
        connection.execute(text(f"PRAGMA max_page_count = {most}"))

    try:
        return import_past(CrashPoints(), configured, worker, on_begin=limit).status
    except DatabaseUnavailable as error:
        return str(error)
