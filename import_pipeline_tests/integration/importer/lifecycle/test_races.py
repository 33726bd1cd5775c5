"""Many ticks, runs and workers at the same moment: exactly one of them wins each race.

A race is about one import of one source. Each contender ticks and starts the imports that its tick launches; then it
tries to start the import of the race too, as a person at the launchpad may. All contenders take the races in the same
order. A decided race costs less time, so they stay together.
"""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import text

from import_pipeline.errors import ImportAlreadyRunning, InvalidTransition, LeaseLost
from import_pipeline.importer.control import cancellation, deletion, retries
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import start_or_take_over
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.tracking import claims, imports, requests, scheduling, transitions
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.requests import NewRequest, RequestKind
from import_pipeline.tracking.workers import Worker
from import_pipeline_tests.acceptance.command_line import eventually
from import_pipeline_tests.support.lifecycle import ADA, TEN, SimulatedInstallation, at, items_source
from import_pipeline_tests.support.parallel import run_in_parallel

CONTENDERS = 4
WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
FEW, MANY = 30, 1000  # races of each pair of database and contenders; 120 in all, 4,000 at night


def source_of(race):
    source = items_source()
    source.name = f"items_{race}"
    return source


def a_due_slot(connection, source):
    return slot(connection, source, 9)


def missed_slots(connection, source):
    for hour in (3, 6):
        slot(connection, source, hour)
    return slot(connection, source, 9)


def a_dead_worker(connection, source):
    number = slot(connection, source, 9)
    transitions.start(connection, number, ADA, TEN - timedelta(hours=1), "dead")
    return number


def a_request(connection, source):
    requests.record(connection, NewRequest(source=source.name, kind=RequestKind.NEW, requested_by="Ada"), TEN)


def a_moved_slot(connection, source):
    requests.record(connection, NewRequest(source=source.name, kind=RequestKind.RESCHEDULE, requested_by="Ada"), TEN)
    return slot(connection, source, 12)


def only_a_request_to_move_a_slot(connection, source):
    requests.record(connection, NewRequest(source=source.name, kind=RequestKind.RESCHEDULE, requested_by="Ada"), TEN)


def slot(connection, source, hour):
    assert scheduling.create_slot(connection, new_import(source, Trigger.SCHEDULE, slot_at=at(hour)), TEN)
    return imports.latest(connection, source=source.name, limit=1)[0].id


KINDS = (a_due_slot, missed_slots, a_dead_worker, a_request, a_moved_slot, only_a_request_to_move_a_slot)


def prepared(simulation, races):
    """Prepare the races; return the import of each, None if a tick makes it."""
    with simulation.database.write() as connection:
        return [KINDS[race % len(KINDS)](connection, source_of(race)) for race in range(races)]


def contend(database, targets, name):
    """Run all races as one contender; return the imports that it launched and those that it started."""
    worker = Worker(id=name, host="elsewhere", pid=1)
    simulation = SimulatedInstallation(database)
    launched, begun = [], []
    for race, target in enumerate(targets):
        simulation.source = source_of(race)
        asked = [launch.import_id for launch in simulation.tick().launches]
        launched += asked
        for number in {*asked, target} - {None}:
            try:
                start_or_take_over(database, simulation.source, number, worker, simulation.clock, name)
            except (ImportAlreadyRunning, InvalidTransition, LeaseLost):
                continue
            begun.append(number)
    return launched, begun


def contend_apart(url, targets):
    """Run all races as a process of its own."""
    with closing(Database(url)) as database:
        return contend(database, targets, threading.current_thread().name)


def threads(simulation, targets):
    barrier = threading.Barrier(CONTENDERS)
    with ThreadPoolExecutor(CONTENDERS, initializer=barrier.wait) as pool:
        names = [f"thread {number}" for number in range(CONTENDERS)]
        return list(pool.map(lambda name: contend(simulation.database, targets, name), names))


def processes(simulation, targets):
    url = simulation.database.url.render_as_string(hide_password=False)
    return run_in_parallel(CONTENDERS, contend_apart, url, targets)


@pytest.mark.parametrize("races", [FEW, pytest.param(MANY, marks=[pytest.mark.nightly, pytest.mark.timeout(1200)])])
@pytest.mark.parametrize("contenders", [threads, processes])
def test_whatever_is_raced_for_is_started_once(simulation, contenders, races):
    targets = prepared(simulation, races)
    got = contenders(simulation, targets)
    launched = Counter(number for asked, _ in got for number in asked)
    begun = Counter(number for _, begins in got for number in begins)
    rows = simulation.all()
    running = [row for row in rows if row.status is ImportStatus.RUNNING]
    assert sorted(row.source for row in running) == sorted(source_of(race).name for race in range(races))
    assert begun == Counter(row.id for row in running)
    assert set(launched.values()) == {1}
    assert set(launched) <= set(begun)
    assert {row.fence for row in running} == {1, 2}, "2 if a worker was replaced"
    by_source = Counter(row.source for row in rows if row.slot_at is None)
    assert set(by_source.values()) == {1}, "a request creates one import"
    slots = Counter((row.source, row.slot_at) for row in rows if row.slot_at is not None)
    assert set(slots.values()) == {1}
    future = {row.source for row in rows if row.status is ImportStatus.SCHEDULED}
    assert len(future) == races
    assert {each["outcome"] is None for each in simulation.requests()} == {False}
    for row in running:
        noted = Counter(simulation.actions(row.id))
        assert (noted["import_started"] + noted["import_resumed"], noted["run_requested"]) == (1, launched[row.id])


def test_an_import_that_is_cancelled_while_it_starts_either_runs_or_is_cancelled(simulation):
    numbers = [slot_of(simulation, race) for race in range(100)]
    barrier = threading.Barrier(2)

    def start(race):
        barrier.wait()
        try:
            start_or_take_over(simulation.database, source_of(race), numbers[race], ADA, simulation.clock, None)
        except (InvalidTransition, LeaseLost):
            return "cancelled"
        return "running"

    def cancel(race):
        barrier.wait()
        return cancellation.cancel(simulation.installation, numbers[race], by="Ada").sentence

    with ThreadPoolExecutor(2) as pool:
        for race, number in enumerate(numbers):
            started, cancelled = pool.submit(start, race), pool.submit(cancel, race)
            row = simulation.get(number) if cancelled.result() and started.result() else None
            assert row.status == started.result()
            assert row.cancel_requested_at is not None, "a person's request, whichever came first"
            assert ("is running" in cancelled.result()) == (row.status is ImportStatus.RUNNING)


@pytest.mark.parametrize("action", [cancellation.cancel, deletion.delete, retries.retry])
def test_a_request_at_the_moment_of_an_end_sees_the_import_as_ended(simulation, action):
    """The worker's transaction is open when the request comes; on SQLite the request begins after it in any case."""
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover("1")
    with ThreadPoolExecutor(1) as pool:
        with simulation.database.write() as connection:
            transitions.end(connection, hand.lease, simulation.now, ImportStatus.FAILED, failure_reason="so it went")
            request = pool.submit(action, simulation.installation, hand.row.id)
            if not simulation.database.is_sqlite:
                eventually(lambda: request.done() or connection.scalar(WAITING), "the request waits for the worker")
        if action is cancellation.cancel:
            with pytest.raises(InvalidTransition, match="failed"):
                request.result()
        else:
            request.result()


def slot_of(simulation, race):
    with simulation.database.write() as connection:
        return slot(connection, source_of(race), 9)


def test_each_item_is_claimed_once_by_workers_of_one_import(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover(*(str(number) for number in range(400)))
    barrier = threading.Barrier(CONTENDERS)

    def work(_):
        barrier.wait()
        mine = []
        while taken := simulation.call(claims.claim, hand.lease, 7, simulation.now):
            mine += [claim.external_id for claim in taken]
        return mine

    with ThreadPoolExecutor(CONTENDERS) as pool:
        got = [item for mine in pool.map(work, range(CONTENDERS)) for item in mine]
    assert (len(got), len(set(got))) == (400, 400)
