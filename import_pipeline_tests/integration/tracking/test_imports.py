"""The rows of imports: which steps each may take, and that of those who try at once one succeeds."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from import_pipeline.errors import ImportNotFound, InvalidTransition, LeaseLost
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import heartbeats, imports, scheduling, transitions
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.tables import imports as imports_table
from import_pipeline_tests.support.tracking_rows import ADA, BOB, NOON, at, begun, current, do, lease_of, scheduled


def test_an_import_goes_from_scheduled_to_running_to_its_end(database):
    row = scheduled(database, requested_by="me", options=ImportOptions(limit=3))
    assert (row.status, row.scheduled_at, row.fence, row.metadata) == (ImportStatus.SCHEDULED, NOON, 0, {"limit": 3})
    started = do(database, transitions.start, row.id, ADA, at(1), "run-1")
    assert started == replace(
        row,
        status=ImportStatus.RUNNING,
        started_at=at(1),
        heartbeat_at=at(1),
        updated_at=at(1),
        host="machine",
        pid=1,
        dagster_run_id="run-1",
        fence=1,
    )
    do(database, transitions.end, lease_of(started, ADA), at(2), ImportStatus.COMPLETED, incomplete_reason="half of it")
    assert current(database, row) == replace(
        started,
        status=ImportStatus.COMPLETED,
        ended_at=at(2),
        heartbeat_at=at(2),
        updated_at=at(2),
        incomplete_reason="half of it",
    )


@pytest.mark.parametrize("import_id", [7, 10**22])
def test_an_import_that_is_not_there_is_said_to_be_missing(database, import_id):
    sentence = f"import {import_id}: no import has this id"
    with database.read() as connection, pytest.raises(ImportNotFound, match=sentence):
        imports.get(connection, import_id)


@pytest.mark.parametrize("ended", [ImportStatus.COMPLETED, ImportStatus.FAILED, ImportStatus.CANCELLED])
def test_an_import_that_has_ended_takes_no_further_step(database, ended):
    row, lease = begun(database)
    do(database, transitions.end, lease, at(1), ended)
    before = current(database, row)
    with pytest.raises(InvalidTransition, match=f"import {row.id} cannot become running: it is {ended}"):
        do(database, transitions.start, row.id, BOB, at(2), None)
    with pytest.raises(LeaseLost):
        do(database, transitions.end, lease, at(2), ImportStatus.COMPLETED)
    with pytest.raises(LeaseLost):
        do(database, transitions.take_over, before, BOB, at(2), None)
    assert not do(database, scheduling.cancel_scheduled, row.id, at(2), "no need")
    assert not do(database, transitions.request_cancel, row.id, at(2))
    assert current(database, row) == before


def test_a_running_import_is_not_started_again(database):
    row, _ = begun(database)
    with pytest.raises(InvalidTransition, match="is already running"):
        do(database, transitions.start, row.id, BOB, at(1), None)
    assert not do(database, scheduling.cancel_scheduled, row.id, at(1), "no need")


def test_a_scheduled_import_is_cancelled_with_its_reason(database):
    row = scheduled(database)
    assert do(database, scheduling.cancel_scheduled, row.id, at(1), "a later one is due")
    after = current(database, row)
    assert (after.status, after.cancelled_at, after.ended_at) == (ImportStatus.CANCELLED, at(1), at(1))
    assert after.failure_reason == "a later one is due"


def test_the_first_cancel_request_counts(database):
    row, _ = begun(database)
    assert do(database, transitions.request_cancel, row.id, at(1))
    assert do(database, transitions.request_cancel, row.id, at(2))
    assert current(database, row).cancel_requested_at == at(1)


def test_a_slot_has_one_import(database):
    scheduled(database, slot_at=NOON)
    scheduled(database, "others", slot_at=NOON)
    with pytest.raises(IntegrityError):
        scheduled(database, slot_at=NOON)


def test_of_fifty_starts_at_once_one_succeeds(database):
    rows = [scheduled(database) for _ in range(50)]
    other = scheduled(database, "others")
    barrier = threading.Barrier(8)

    def start(row):
        if row.id <= rows[7].id:
            barrier.wait()
        try:
            return do(database, transitions.start, row.id, ADA, NOON, None).id
        except IntegrityError:
            return None

    with ThreadPoolExecutor(8) as pool:
        started = [found for found in pool.map(start, rows) if found]
    assert len(started) == 1
    with database.read() as connection:
        assert imports.running(connection, "things").id == started[0]
        assert imports.running(connection, "others") is None
    assert do(database, transitions.start, other.id, ADA, NOON, None).status is ImportStatus.RUNNING


def test_heartbeats_add_requests_and_hits_and_keep_the_most_sleep(database):
    row, lease = begun(database)
    do(
        database,
        heartbeats.beat,
        lease,
        at(1),
        Pulse(sent=CounterDelta(requests=5, hits=1), sleeps=2, slept_seconds=3.5),
    )
    beaten = do(
        database,
        heartbeats.beat,
        lease,
        at(2),
        Pulse(sent=CounterDelta(requests=4), sleeps=1, slept_seconds=4.0, blocked_until=at(9)),
    )
    assert beaten == replace(
        row,
        requests_count=9,
        rate_limit_hits_count=1,
        rate_limit_sleeps_count=2,
        total_sleep_seconds=4.0,
        blocked_until=at(9),
        heartbeat_at=at(2),
        updated_at=at(2),
    )


def test_a_running_import_cannot_be_doubled_by_hand_either(database):
    begun(database)
    second = scheduled(database)
    statement = update(imports_table).where(imports_table.c.id == second.id).values(status="running")
    with pytest.raises(IntegrityError):
        do(database, lambda connection: connection.execute(statement))
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM imports WHERE status = 'running'")).scalar() == 1
