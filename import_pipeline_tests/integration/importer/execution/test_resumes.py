"""Imports that are resumed: as often as they get on, and no more than three times without; whatever broke them off."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import event

from import_pipeline import run_import
from import_pipeline.errors import HeartbeatFailed, ImportAlreadyRunning, LeaseLost
from import_pipeline.importer.control import cancellation, requests
from import_pipeline.importer.control.scheduling import tick
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.state import RequestedRun, RunState
from import_pipeline.importer.lifecycle.take_over import start_or_take_over
from import_pipeline.rules.status import Trigger
from import_pipeline.tracking import heartbeats, imports, resumes, shards
from import_pipeline.tracking.leases import ShardLease
from import_pipeline_tests.integration.importer.execution.test_interruptions import kill_an_import
from import_pipeline_tests.support.imports import demo_api, latest, log, settings, tracking
from import_pipeline_tests.support.lifecycle import ADA, BOB, CANCELLED, COMPLETED, FAILED, RUNNING, at

IDS = [str(number) for number in range(1, 41)]


def die(simulation):
    """The worker is silent for its lease, and the sensor requests another one; return the row that this one has."""
    simulation.advance(seconds=simulation.source.lease + 61)
    [launched] = simulation.tick().launches
    return simulation.begin(launched.import_id)


def test_an_import_that_gets_on_each_time_is_resumed_as_often_as_it_dies(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover(*IDS)
    for death in range(12):
        hand.succeed(hand.claim(2))
        hand = die(simulation)
        row = simulation.get(hand.row.id)
        assert (row.status, row.resumes, row.facts.resumes_in_all) == (RUNNING, 1, death + 1)
    hand.succeed(hand.claim())
    hand.complete()
    assert simulation.get(hand.row.id).status is COMPLETED


@pytest.mark.parametrize(
    "get_on",
    [
        lambda hand, round_: hand.succeed(hand.claim(1)),
        lambda hand, round_: hand.fail(hand.claim(1), again=timedelta(0)),
        lambda hand, round_: hand.fail(hand.claim(1)),
        lambda hand, round_: hand.discover(f"new-{round_}", done=False),
    ],
    ids=["an item", "a failed try", "an item that failed permanently", "an item of the list"],
)
def test_whatever_is_stored_is_progress(simulation, get_on):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover(*IDS, done=False)
    for round_ in range(5):
        hand = die(simulation)
        get_on(hand, round_)
    assert simulation.get(hand.row.id).status is RUNNING


def test_three_resumes_without_progress_are_too_many_even_after_many_with(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover(*IDS)
    for _ in range(5):
        hand = die(simulation)
        hand.succeed(hand.claim(1))
    for resume in (1, 2, 3):
        hand = die(simulation)
        assert simulation.get(hand.row.id).resumes == resume
        hand.claim(3)  # holds some, and dies with them
    simulation.advance(seconds=simulation.source.lease + 61)
    assert simulation.tick().launches == []
    row = simulation.get(hand.row.id)
    assert (row.status, row.failure_reason) == (
        FAILED,
        f"Import {row.id} was resumed 3 times without progress; its worker died each time.",
    )


def test_a_worker_that_dies_before_its_first_heartbeat_counts(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    for _ in range(3):
        hand = die(simulation)
    simulation.advance(seconds=simulation.source.lease + 61)
    assert simulation.tick().launches == []
    assert simulation.get(hand.row.id).status is FAILED


def breaking(error):
    """Code of ours that breaks, as any may."""

    def break_off(api):
        raise error

    return break_off


@pytest.mark.parametrize("error", [AssertionError("odd"), KeyError("x"), MemoryError(), SystemExit(3)])
def test_whatever_breaks_a_run_off_counts_and_three_times_without_progress_end_the_import(home, error):
    with demo_api(items=5) as url:
        configured = settings(home, url)
        with open_installation(configured) as installation:
            source = installation.source("items")
            row = find_or_create(installation.database, source, new_import(source, Trigger.REQUEST), installation.clock)
            runs, launches = 0, [row.id]
            while launches and runs < 20:
                with pytest.raises(type(error)):
                    execute_import(ImportRun(installation=installation, source=source, on_api=breaking(error)), row.id)
                runs += 1
                launches = tick(installation, source).launches
    ended = by_id(configured, row.id)
    assert (runs, ended.status) == (4, FAILED)
    assert f"resumed 3 times without progress; at last it broke off: {type(error).__name__}" in ended.failure_reason


def break_heartbeats(connection, cursor, statement, *_):
    if threading.current_thread().name == "import-heartbeat":
        raise ValueError("odd")


def test_an_error_in_the_heartbeat_ends_the_work_with_its_reason_and_counts(home):
    with demo_api(items=80, delay_after_ms=100) as url:
        configured = settings(home, url, ITEMS_LEASE="1", ITEMS_CONCURRENCY="2")
        with open_installation(configured) as installation:
            source, engine = installation.source("items"), installation.database.engine
            row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), installation.clock)
            event.listen(engine, "before_cursor_execute", break_heartbeats)
            with pytest.raises(HeartbeatFailed, match="the heartbeat failed: ValueError: odd"):
                execute_import(ImportRun(installation=installation, source=source), row.id)
            event.remove(engine, "before_cursor_execute", break_heartbeats)
        left = by_id(configured, row.id)
        assert (left.status, left.pid) == (RUNNING, None), "the next run takes it over immediately"
        assert "ValueError: odd" in resumes.worker_error(left)
        assert run_import("items", settings=configured).status == "completed"
    assert by_id(configured, row.id).resumes == 1


def by_id(configured, import_id):
    with tracking(configured) as connection:
        return imports.get(connection, import_id)


def test_the_next_command_ends_what_broke_off_too_often_and_imports_anew(home):
    with demo_api(items=5) as url:
        configured = settings(home, url)
        with open_installation(configured) as installation:
            source = installation.source("items")
            row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), installation.clock)
            for _ in range(4):
                with pytest.raises(ValueError, match="odd"):
                    execute_import(
                        ImportRun(installation=installation, source=source, on_api=breaking(ValueError("odd"))), row.id
                    )
        summary = run_import("items", settings=configured)
    assert (summary.import_id, summary.status) == (2, "completed")
    assert by_id(configured, 1).status is FAILED


def test_the_loser_of_a_race_leaves_no_import(simulation):
    source, database, clock = simulation.source, simulation.database, simulation.clock
    ours = [find_or_create(database, source, new_import(source, Trigger.CLI), clock, worker) for worker in (ADA, BOB)]
    start_or_take_over(database, source, ours[0].id, ADA, clock, None)
    with pytest.raises(ImportAlreadyRunning):
        start_or_take_over(database, source, ours[1].id, BOB, clock, None)
    assert [row.id for row in simulation.all()] == [ours[0].id]


def test_what_others_have_scheduled_stays_for_them(simulation):
    source, database, clock = simulation.source, simulation.database, simulation.clock
    asked = requests.request_import(simulation.installation, source, requests.RequestKind.NEW, by="ada")
    assert asked
    simulation.tick()
    [scheduled] = [row for row in simulation.all() if row.slot_at is None]
    first = find_or_create(database, source, new_import(source, Trigger.CLI), clock, ADA)
    second = find_or_create(database, source, new_import(source, Trigger.UI), clock, ADA)
    start_or_take_over(database, source, first.id, ADA, clock, None)
    for number in (scheduled.id, second.id):
        with pytest.raises(ImportAlreadyRunning):
            start_or_take_over(database, source, number, BOB, clock, None)
    kept = [row.id for row in simulation.all() if row.slot_at is None]
    assert kept == [scheduled.id, first.id, second.id], "BOB made none of them"


def cancel_a_dead_import(configured, url):
    kill_an_import(configured, url, 3)
    with open_installation(configured) as installation:
        cancellation.cancel(installation, latest(configured).id, by="Ada")


def test_a_run_after_the_cancel_of_a_dead_import_ends_that_and_imports_anew(home):
    with demo_api(items=60, delay_after_ms=100) as url:
        configured = settings(home, url)
        cancel_a_dead_import(configured, url)
        summary = run_import("items", settings=configured, limit=2)
    assert (summary.import_id, summary.status) == (2, "completed")
    ended = by_id(configured, 1)
    assert (ended.status, ended.failure_reason) == (CANCELLED, "cancelled by Ada")


def test_a_cancelled_import_that_is_taken_over_sends_nothing(home):
    with demo_api(items=60, delay_after_ms=100) as url:
        configured = settings(home, url)
        cancel_a_dead_import(configured, url)
        asked = len(log(url))
        with open_installation(configured) as installation:
            summary = execute_import(ImportRun(installation=installation, source=installation.source("items")), 1)
        assert len(log(url)) == asked
    assert (summary.status, summary.failure_reason) == ("cancelled", "cancelled by Ada")


def test_the_dagster_run_of_an_import_that_ends_here_is_reported(simulation):
    simulation.slot(at(9))
    hand = simulation.launch(run_id="dead")
    simulation.advance(seconds=simulation.source.lease + 1)
    cancellation.cancel(simulation.installation, hand.row.id, by="Ada")
    heard = []
    made = find_or_create(
        simulation.database,
        simulation.source,
        new_import(simulation.source, Trigger.CLI),
        simulation.clock,
        BOB,
        on_dead_run=heard.append,
    )
    assert heard == ["dead"]
    assert (simulation.get(hand.row.id).status, made.id != hand.row.id) == (CANCELLED, True)
    with pytest.raises(LeaseLost):
        hand.beat()


def test_a_run_that_waits_in_dagster_s_queue_is_asked_for_once(simulation):
    number = simulation.slot(at(9))
    [launched] = simulation.tick().launches
    for _ in range(5):
        simulation.advance(seconds=120)
        assert simulation.tick(requested_run=lambda import_id, since: RequestedRun.QUEUED).launches == []
    simulation.begin(number)
    simulation.advance(seconds=simulation.source.lease)
    [resumed] = simulation.tick().launches
    assert (launched.import_id, resumed.import_id) == (number, number)
    for _ in range(5):
        simulation.advance(seconds=120)
        result = simulation.tick(requested_run=lambda import_id, since: RequestedRun.QUEUED)
        assert result.launches == []
        assert f"Import {number} is stalled: its next run waits for a free slot in Dagster's queue." in result.sentences
    assert len(simulation.tick(requested_run=lambda import_id, since: RequestedRun.UNKNOWN).launches) == 1


def test_a_resume_whose_run_ends_before_it_begins_counts_and_three_fail_the_import(simulation):
    number = simulation.slot(at(9))
    simulation.launch()
    launches = 0
    for _ in range(20):
        simulation.advance(seconds=120)
        launches += len(simulation.tick(requested_run=lambda import_id, since: RequestedRun.ENDED).launches)
    row = simulation.get(number)
    assert (launches, row.status) == (4, FAILED)
    assert "resumed 3 times without progress; at last it broke off: the requested run" in row.failure_reason


def test_no_resume_is_asked_for_while_a_shard_of_it_lives(simulation):
    number = simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover("1", "2", done=False)
    simulation.call(shards.acquire, number, 2, BOB, simulation.now, "shard run")
    place = ShardLease(import_id=number, fence=1, worker=BOB.id, seconds=simulation.source.lease, shard=2)
    for _ in range(5):
        simulation.advance(seconds=50)
        simulation.call(shards.beat, place, simulation.now, heartbeats.Pulse())
        result = simulation.tick(run_state_of=lambda run_id: RunState.GONE)
        assert result.launches == []
    assert f"Import {number} is running: one of its shards takes over the lead." in result.sentences
    simulation.advance(seconds=simulation.source.lease)
    assert [launch.import_id for launch in simulation.tick().launches] == [number]
