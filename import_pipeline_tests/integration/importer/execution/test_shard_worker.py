"""Several processes share an import: nothing twice, nothing lost, one end, even if any of them dies."""

import os
import signal
import time
from contextlib import contextmanager

import pytest

from import_pipeline.importer.installation import open_installation
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import events, imports, shards, transitions
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.integration.importer.execution.test_interruptions import freeze, wait_for
from import_pipeline_tests.support import http
from import_pipeline_tests.support.imports import (
    demo_api,
    ending_of,
    import_process,
    latest,
    rows,
    settings,
    shard_processes,
    tracking,
)

LONG = 60.0  # seconds; only what is broken takes them
#: Details that a worker of five requests may repeat: those in flight, and as many answers that were not stored yet.
IN_FLIGHT = 10


@contextmanager
def four(home, url, **options):
    """An import at which four processes are at work."""
    configured = settings(home, url, ITEMS_SHARDS="4", ITEMS_CONCURRENCY="5", ITEMS_TIMEOUT="20", **options)
    with import_process(configured) as lead:
        wait_for(lambda: is_listing(configured))
        with shard_processes(configured, 2, 3, 4) as processes:
            wait_for(lambda: sum(each.requests_count > 0 for each in places(configured)) == 3)
            yield configured, lead, processes


def is_listing(configured):
    """Return True if an import has stored its first page."""
    with open_installation(configured) as installation, installation.database.read() as connection:
        running = imports.running(connection, "items")
        return running is not None and running.checkpoint is not None


def places(configured):
    with tracking(configured) as connection:
        return shards.of_import(connection, imports.latest(connection, limit=1)[0].id)


def actions(configured):
    """Return the actions of the latest import's events."""
    with tracking(configured) as connection:
        return [action for _, action, _ in events.latest(connection, imports.latest(connection, limit=1)[0].id)]


def stats(url):
    return http.get(f"{url}/_stats").json()


@pytest.mark.nightly
def test_four_processes_share_an_import_and_fetch_nothing_twice(home, database_url):
    with demo_api(items=400, delay_after_ms=100) as url:
        with four(home, url, DATABASE_URL=database_url) as (configured, lead, processes):
            assert ending_of(lead) is None
            endings = [ending_of(each) for each in processes]
        seen = stats(url)
    row = latest(configured)
    assert (row.status, row.items_count, row.items_imported_count) == (ImportStatus.COMPLETED, 400, 400)
    assert (seen["details"], seen["repeated_details"], row.requests_count) == (400, {}, seen["admitted"])
    assert [(each.shard.number, each.ended_it, each.shard.ended_at is None) for each in endings] == [
        (2, False, False),
        (3, False, False),
        (4, False, False),
    ]
    assert all(each.requests_count > 0 for each in places(configured))
    assert actions(configured).count("import_completed") == 1
    assert len(rows(configured)) == 400


def test_two_of_four_are_killed_and_the_others_do_what_they_held(home, database_url):
    with demo_api(items=400, delay_after_ms=100) as url:
        with four(home, url, DATABASE_URL=database_url, ITEMS_LEASE="5") as (configured, lead, processes):
            for process in processes[:2]:
                process.kill()
            assert ending_of(lead) is None
            assert ending_of(processes[2]).ended_it is False
        seen = stats(url)
    row = latest(configured)
    assert (row.status, row.items_imported_count, row.resumes) == (ImportStatus.COMPLETED, 400, 0)
    assert len(rows(configured)) == 400
    assert len(seen["repeated_details"]) <= 2 * IN_FLIGHT
    assert set(seen["repeated_details"].values()) <= {2}
    assert actions(configured).count("import_completed") == 1


@pytest.mark.nightly
def test_the_last_shard_ends_the_import_when_the_lead_was_killed_after_discovery(home, database_url):
    with demo_api(items=400, delay_after_ms=100) as url:
        with four(home, url, DATABASE_URL=database_url, ITEMS_LEASE="2") as (configured, lead, processes):
            wait_for(lambda: latest(configured).checkpoint["complete"])
            lead.kill()
            endings = [ending_of(each) for each in processes]
        seen = stats(url)
    row = latest(configured)
    assert (row.status, row.items_imported_count) == (ImportStatus.COMPLETED, 400)
    assert sorted(each.ended_it for each in endings) == [False, False, True]
    assert len(seen["repeated_details"]) <= IN_FLIGHT
    assert actions(configured).count("import_completed") == 1


def test_a_shard_takes_the_lead_of_one_that_was_killed_reads_the_list_on_and_ends_the_import(home, database_url):
    more = {"DATABASE_URL": database_url, "ITEMS_PER_PAGE": "10", "ITEMS_LEASE": "2"}
    with demo_api(items=1000, delay_after_ms=100) as url:
        with four(home, url, **more) as (configured, lead, processes):
            lead.kill()
            killed = latest(configured)
            endings = [ending_of(each) for each in processes]
        seen = stats(url)
    row = latest(configured)
    assert not killed.checkpoint["complete"]
    assert (row.status, row.items_imported_count, row.resumes) == (ImportStatus.COMPLETED, 1000, 1)
    assert sorted(each.ended_it for each in endings) == [False, False, True]
    assert len(seen["repeated_details"]) <= IN_FLIGHT
    assert actions(configured).count("import_resumed") == 1


@pytest.mark.nightly
def test_one_worker_is_left_of_four_and_brings_the_import_to_its_end(home, database_url):
    more = {"DATABASE_URL": database_url, "ITEMS_PER_PAGE": "10", "ITEMS_LEASE": "2"}
    with demo_api(items=1000, delay_after_ms=100) as url:
        with four(home, url, **more) as (configured, lead, processes):
            lead.kill()
            wait_for(lambda: actions(configured).count("import_resumed") == 1)
            pid = latest(configured).pid
            heirs = [each for each in processes if each.pid == pid] or processes[:1]
            last = next(each for each in processes if each not in heirs)
            for each in processes:
                if each is not last:
                    each.kill()
            assert ending_of(last).ended_it is True
        seen = stats(url)
    row = latest(configured)
    assert (row.status, row.items_imported_count) == (ImportStatus.COMPLETED, 1000)
    assert len(seen["repeated_details"]) <= 3 * IN_FLIGHT


@pytest.mark.nightly
def test_a_stopped_lead_hands_the_lead_to_a_shard_and_no_resume_counts(home, database_url):
    more = {"DATABASE_URL": database_url, "ITEMS_PER_PAGE": "10"}
    with demo_api(items=1000, delay_after_ms=100) as url:
        with four(home, url, **more) as (configured, lead, processes):
            os.kill(lead.pid, signal.SIGTERM)
            assert ending_of(lead).startswith("ImportInterrupted: ")
            endings = [ending_of(each) for each in processes]
        seen = stats(url)
    row = latest(configured)
    assert (row.status, row.items_imported_count, row.resumes) == (ImportStatus.COMPLETED, 1000, 0)
    assert sum(each.ended_it for each in endings) == 1
    assert seen["repeated_details"] == {}


@pytest.mark.nightly
def test_a_lead_that_was_frozen_beyond_its_lease_asks_for_nothing_again(home, database_url):
    more = {"DATABASE_URL": database_url, "ITEMS_PER_PAGE": "10", "ITEMS_LEASE": "2"}
    with demo_api(items=1000, delay_after_ms=100) as url:
        with four(home, url, **more) as (configured, lead, processes):
            freeze(lead, home)
            wait_for(lambda: actions(configured).count("import_resumed") == 1)
            wait_for(lambda: latest(configured).items_imported_count > 300)
            os.kill(lead.pid, signal.SIGCONT)
            assert ending_of(lead).startswith("LeaseLost: ")
            endings = [ending_of(each) for each in processes]
        seen = stats(url)
    row = latest(configured)
    assert (row.status, row.items_imported_count) == (ImportStatus.COMPLETED, 1000)
    assert sum(each.ended_it for each in endings) == 1
    assert len(seen["repeated_details"]) <= IN_FLIGHT


@pytest.mark.nightly
def test_an_import_of_four_is_cancelled_within_two_seconds_and_keeps_what_they_had(home, database_url):
    with demo_api(items=2000, delay_after_ms=100) as url:
        with four(home, url, DATABASE_URL=database_url) as (configured, lead, processes):
            database = Database(configured.database_url)
            with database.write() as connection:
                cancelled_at = time.monotonic()
                transitions.request_cancel(connection, latest(configured).id, latest(configured).heartbeat_at, "ada")
            database.close()
            wait_for(lambda: latest(configured).ended_at)
            to_end = time.monotonic() - cancelled_at
            ending_of(lead)
            endings = [ending_of(each) for each in processes]
        seen = stats(url)
    assert to_end < 2.2  # polling takes its time, too
    row = latest(configured)
    assert (row.status, row.failure_reason) == (ImportStatus.CANCELLED, "cancelled by ada")
    assert [(each.ended_it, each.was_cancelled) for each in endings] == [(False, True)] * 3
    assert row.requests_count == seen["admitted"]
    assert row.items_imported_count == seen["details"], "what was in flight is kept"


@pytest.mark.nightly
def test_a_shard_that_was_frozen_beyond_its_lease_writes_nothing(home):
    options = {"ITEMS_LEASE": "1"}
    with demo_api(items=400, delay_after_ms=100) as url, four(home, url, **options) as (configured, lead, processes):
        frozen = processes[0]
        freeze(frozen, home)
        assert ending_of(lead) is None
        with tracking(configured) as connection:
            before = (latest(configured), rows(configured), shards.of_import(connection, 1))
        os.kill(frozen.pid, signal.SIGCONT)
        ending = ending_of(frozen)
        with tracking(configured) as connection:
            after = (latest(configured), rows(configured), shards.of_import(connection, 1))
        assert (before[0].status, len(before[1])) == (ImportStatus.COMPLETED, 400)
        assert after[0].items_imported_count == before[0].items_imported_count == 400
        assert after[1] == before[1]
        assert ending.ended_it is False


@pytest.mark.nightly
def test_a_shard_in_trouble_leaves_with_its_reason_and_the_others_continue(home):
    right, wrong = "a-right-token", "a-wrong-token"
    with (
        demo_api(items=400, delay_after_ms=100, token=right) as url,
        four(home, url, ITEMS_TOKEN=right) as (configured, lead, _),
    ):
        with shard_processes(settings(home, url, ITEMS_TOKEN=wrong), 5) as [lost]:
            reason = ending_of(lost)
        assert ending_of(lead) is None
    assert reason.startswith("ImportFailed: ")
    assert "401" in reason
    row = latest(configured)
    assert (row.status, row.items_imported_count, row.items_failed_count) == (ImportStatus.COMPLETED, 400, 0)
    assert "shard_stopped" in actions(configured)
    assert (places(configured)[-1].launches, places(configured)[-1].ended_at) == (1, None)
