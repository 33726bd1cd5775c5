"""Processes that are killed, frozen or stopped; imports that are cancelled."""

import asyncio
import os
import signal
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from import_pipeline import run_import
from import_pipeline.errors import ImportAlreadyRunning, ImportInterrupted
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.rules.resumes import ProgressMark
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.tracking import events, imports
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.tables import imports as imports_table
from import_pipeline_tests.support import http
from import_pipeline_tests.support.frozen_process import freeze
from import_pipeline_tests.support.imports import (
    counts,
    demo_api,
    ending_of,
    import_process,
    latest,
    log,
    rows,
    settings,
    tracking,
)

LONG = 30.0  # seconds; only what is broken takes them


def wait_for(condition):
    deadline = time.monotonic() + LONG
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def wait_until_asked(url, times, path="/api/items/"):
    wait_for(lambda: sum(each.startswith(path) for each in log(url)) >= times)


def kill_an_import(configured, url, times, path="/api/items/"):
    """Import in a process that is killed after that many requests."""
    with import_process(configured) as process:
        wait_until_asked(url, times, path)
        process.kill()
        process.join(LONG)


def actions(configured):
    with tracking(configured) as connection:
        return [action for _, action, _ in events.latest(connection, imports.latest(connection, limit=1)[0].id)]


def test_an_import_that_was_killed_while_it_read_the_list_continues_at_its_page(home):
    options = {"ITEMS_PER_PAGE": "5", "ITEMS_OVERLAP": "false"}
    with demo_api(items=40, delay_after_ms=60) as url:
        configured = settings(home, url, **options)
        kill_an_import(configured, url, 4, "/api/items")
        pages = latest(configured).checkpoint["page"]
        summary = run_import("items", settings=configured)
        asked = log(url)
    assert pages >= 2
    assert (summary.import_id, counts(summary)) == (1, ("completed", 40, 40, 0, 0))
    assert 8 <= asked.count("/api/items") <= 9  # one was in flight
    assert (latest(configured).resumes, actions(configured)) == (
        1,
        ["import_started", "import_resumed", "import_completed"],
    )


def test_an_import_that_was_killed_while_it_fetched_details_repeats_at_most_those_in_flight(home, database_url):
    options = {"ITEMS_CONCURRENCY": "5", "ITEMS_CEILING": "5", "DATABASE_URL": database_url}
    with demo_api(items=100, delay_after_ms=30) as url:
        configured = settings(home, url, **options)
        kill_an_import(configured, url, 30)
        assert latest(configured).status is ImportStatus.RUNNING
        summary = run_import("items", settings=configured)
        seen = http.get(f"{url}/_stats").json()
    assert (summary.import_id, counts(summary)) == (1, ("completed", 100, 100, 0, 0))
    assert len(seen["repeated_details"]) <= 5
    assert set(seen["repeated_details"].values()) <= {2}
    assert log_of_pages(seen) == 1


def test_the_time_in_which_no_process_worked_on_an_import_is_neither_active_nor_slept(home):
    with demo_api(items=30, delay_after_ms=30) as url:
        configured = settings(home, url)
        kill_an_import(configured, url, 5)
        dead, hour = latest(configured), timedelta(hours=1)
        change(
            configured,
            update(imports_table).values(started_at=dead.started_at - hour, heartbeat_at=dead.heartbeat_at - hour),
        )
        summary = run_import("items", settings=configured)
    assert counts(summary) == ("completed", 30, 30, 0, 0)
    assert 3600 <= summary.away_seconds < 3600 + LONG
    parts = summary.active_seconds + summary.total_sleep_seconds + summary.away_seconds
    assert summary.active_seconds < LONG
    assert parts == pytest.approx(summary.duration_seconds, abs=0.01)
    assert "resumed_after" not in latest(configured).metadata


def log_of_pages(seen):
    return seen["admitted"] - seen["details"]


def test_a_running_import_is_in_the_way_of_a_second_one(home):
    with demo_api(items=50, delay_after_ms=300) as url:
        configured = settings(home, url)
        with import_process(configured) as process:
            wait_until_asked(url, 1)
            asked = len(log(url))
            began = time.monotonic()
            with pytest.raises(ImportAlreadyRunning) as refused:
                run_import("items", settings=configured)
            assert time.monotonic() - began < 2
            row = latest(configured)
            assert (refused.value.import_id, refused.value.since) == (1, row.started_at)
            assert f"process {process.pid}. Wait for it, or cancel it" in str(refused.value)
            assert ending_of(process) is None
        assert asked < len(log(url)) == 51


def test_a_process_that_was_frozen_beyond_its_lease_changes_nothing_when_it_wakes_up(home):
    options = {"ITEMS_LEASE": "1", "ITEMS_CONCURRENCY": "4"}
    with demo_api(items=60, delay_after_ms=40) as url:
        configured = settings(home, url, **options)
        with import_process(configured) as process:
            wait_until_asked(url, 12)
            freeze(process.pid, home)
            wait_for(lambda: time.time() - latest(configured).heartbeat_at.timestamp() > 1.1)
            summary = run_import("items", settings=configured)
            before = (latest(configured), rows(configured), actions(configured))
            os.kill(process.pid, signal.SIGCONT)
            ending = ending_of(process)
        assert (latest(configured), rows(configured), actions(configured)) == before
    assert (summary.import_id, counts(summary)) == (1, ("completed", 60, 60, 0, 0))
    assert ending == "LeaseLost: import 1 has ended or was taken over by another process"


def test_no_request_is_sent_after_a_stop_signal(home):
    """It would be cut off and repeated later: no permit is granted, although some are free."""
    apis, asked, let_go = [], [], []

    class StoppingTransport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            asked.append(request.url.path)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)
            let_go.append(await apis[0].limiter.acquire())  # until what is in flight is cut off
            return httpx.Response(500)

    @asynccontextmanager
    async def connect():
        async with open_api(source, configured, installation.clock, StoppingTransport()) as api:
            yield api

    configured = settings(home, "http://api.test")
    with open_installation(configured) as installation:
        source = installation.source("items")
        row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), installation.clock)
        run = ImportRun(installation=installation, source=source, connect=connect, on_api=apis.append)
        with pytest.raises(ImportInterrupted):
            execute_import(run, row.id)
    assert (len(asked), let_go) == (1, [])


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_process_releases_the_import_to_the_next_one(home, ending):
    with demo_api(items=60, delay_after_ms=40) as url:
        configured = settings(home, url)
        with import_process(configured) as process:
            wait_until_asked(url, 12)
            os.kill(process.pid, ending)
            stopped_at = time.monotonic()
            assert ending_of(process).startswith("ImportInterrupted: the process was stopped")
            assert time.monotonic() - stopped_at < 2
        left = latest(configured)
        assert (left.status, left.host, left.pid) == (ImportStatus.RUNNING, None, None)
        summary = run_import("items", settings=configured)
        seen = http.get(f"{url}/_stats").json()
    assert (summary.import_id, counts(summary)) == (1, ("completed", 60, 60, 0, 0))
    assert (seen["repeated_details"], latest(configured).resumes) == ({}, 0)


def test_a_cancel_request_ends_the_import_within_two_seconds_and_keeps_what_is_imported(home, database_url):
    with demo_api(items=400, delay_after_ms=50) as url:
        configured = settings(home, url, ITEMS_CONCURRENCY="3", DATABASE_URL=database_url)
        ended = []
        thread = threading.Thread(target=lambda: ended.append(run_import("items", settings=configured)))
        thread.start()
        wait_until_asked(url, 12)
        change(configured, update(imports_table).values(cancel_requested_at=latest(configured).started_at))
        cancelled_at = time.monotonic()
        thread.join(LONG)
        assert time.monotonic() - cancelled_at < 2
        asked = len(log(url))
        [summary] = ended
        row = latest(configured)
    assert (summary.status, summary.exit_status) == ("cancelled", 4)
    assert summary.failure_reason == "cancelled by a person"
    assert row.cancelled_at == row.ended_at
    assert 9 <= summary.items_imported_count < 100
    with_details = [number for number, item in rows(configured).items() if item["price"] is not None]
    assert len(with_details) == summary.items_imported_count
    assert asked == summary.requests_count


def change(configured, statement):
    database = Database(configured.database_url)
    with database.write() as connection:
        connection.execute(statement)
    database.close()


def test_an_import_whose_process_dies_again_and_again_is_given_up(home):
    with demo_api(items=60, delay_after_ms=100) as url:
        configured = settings(home, url)
        kill_an_import(configured, url, 3)
        here = asdict(ProgressMark(found=60, done=60, tries=60, reading=3, page=60))  # nothing that comes is beyond it
        change(configured, update(imports_table).values(resumes=2, metadata={"standing_at_resume": here}))
        asked = len(log(url))
        kill_an_import(configured, url, asked + 3)
        assert (latest(configured).id, latest(configured).resumes) == (1, 3)
        summary = run_import("items", settings=configured, limit=1)
    assert (summary.import_id, summary.status) == (2, "completed")
    with tracking(configured) as connection:
        given_up = imports.get(connection, 1)
    assert (given_up.status, given_up.failure_reason) == (
        ImportStatus.FAILED,
        "resumed 3 times without progress; its worker died each time",
    )
