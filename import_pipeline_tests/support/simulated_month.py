"""A state machine of a month: everything that can happen to a source's imports, and its invariants.

The clock is fake and nothing waits. Workers take the steps of an import one by one; some die, freeze, or receive
SIGTERM in the middle.
"""

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import func, select

from import_pipeline.errors import ImportAlreadyRunning, ImportNotFound, InvalidTransition, LeaseLost, UsageError
from import_pipeline.importer.control import cancellation, deletion, finalize, requests, retries
from import_pipeline.importer.lifecycle.state import RunState
from import_pipeline.rules.status import ENDED, ImportKind, ImportStatus, ItemStatus
from import_pipeline.tracking import items, leases
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.tracking.tables import import_item_statuses
from import_pipeline_tests.support.lifecycle import (
    ADA,
    CANCELLED,
    COMPLETED,
    FAILED,
    SimulatedInstallation,
    at,
    delete_all_rows,
    items_source,
)

IDS = [str(number) for number in range(8)]
#: Errors of a run that comes too late; each ends it successfully.
LATE = (ImportAlreadyRunning, InvalidTransition, LeaseLost, ImportNotFound)
SLOTS = ("0,3,6,9,12,15,18,21", "09:30,12:00", "4")
a_few = st.integers(min_value=0, max_value=5)


class SimulatedMonth(RuleBasedStateMachine):
    """One source, its sensor and schedule, the runs that they launch, operators, and time."""

    def __init__(self, database):
        super().__init__()
        delete_all_rows(database)
        self.simulation = SimulatedInstallation(database, at(0, day=1))
        self.schedule_is_on = True
        self.asked = []  # imports whose run waits in the queue
        self.fates = {}  # of every Dagster run
        self.runs = 0
        self.hand = None  # the worker that is at work
        self.frozen = []  # workers that are dead, or will wake up
        self.starts = defaultdict(set)  # slot -> the imports that were started for it

    # Time and Dagster

    @rule(hours=st.sampled_from([1, 3, 12, 72]))
    def time_passes_without_a_tick(self, hours):
        """Pass time without a tick; a living worker continues its import."""
        self.simulation.advance(hours=hours)
        if self.hand is not None:
            self.hand_beats()

    @rule(hours=st.sampled_from([1, 6, 48]))
    def the_sensor_ticks_every_hour(self, hours):
        for _ in range(hours):
            self.time_passes_without_a_tick(1)
            self.a_tick(schedule=False)
            if self.asked:
                self.a_run_begins()

    @precondition(lambda self: self.hand is not None)
    @rule()
    def the_worker_does_all_that_is_left(self):
        self.work_off()

    @rule()
    def a_moment_passes(self):
        self.simulation.advance(seconds=7)

    @rule(schedule=st.booleans())
    def a_tick(self, schedule):
        """Tick as the sensor, or as the schedule if it is on."""
        on = self.schedule_is_on or schedule
        result = self.simulation.tick(schedule_is_on=on, run_state_of=lambda run_id: self.fates[run_id])
        assert result.sentences, "every tick says what it decided"
        self.asked += [launch.import_id for launch in result.launches]
        for run_id in [*result.dead_run_ids, *(launch.dead_run_id for launch in result.launches)]:
            self.fates[run_id] = RunState.GONE
        if on:
            coming = [row for row in self.simulation.all() if row.status is ImportStatus.SCHEDULED and row.slot_at]
            assert any(row.scheduled_at > self.simulation.now for row in coming), "there is always a future import"

    @precondition(lambda self: self.asked)
    @rule()
    def a_run_begins(self):
        number = self.asked.pop(0)
        self.runs += 1
        run_id = f"run {self.runs}"
        try:
            hand = self.simulation.begin(number, ADA, run_id)
        except LATE:
            return
        if self.hand is not None:
            self.frozen.append(self.hand)
        self.hand, self.fates[run_id] = hand, RunState.ALIVE
        if hand.row.slot_at is not None:
            self.starts[hand.row.slot_at].add(number)
        if hand.row.kind is ImportKind.SELECTION and hand.row.checkpoint is None:
            hand.select()

    @precondition(lambda self: self.asked)
    @rule()
    def a_run_is_lost_before_it_begins(self):
        self.asked.pop(0)

    @rule(on=st.booleans(), slots=st.sampled_from(SLOTS))
    def a_person_changes_the_schedule(self, on, slots):
        self.schedule_is_on = on
        self.simulation.source = items_source(slots=slots)

    # The worker

    def works(self):
        return self.hand is not None

    def fate(self, fate):
        self.fates[self.hand.row.dagster_run_id] = fate

    def hand_beats(self):
        """Beat as the heartbeat does; it reads if the import is cancelled or has another worker."""
        try:
            self.hand.beat()
        except LeaseLost:
            self.hand = None
            return
        if self.simulation.get(self.hand.row.id).cancel_requested_at is not None:
            self.hand.end(CANCELLED)
            self.fate(RunState.GONE)
            self.hand = None

    @precondition(works)
    @rule(found=st.lists(st.sampled_from(IDS), unique=True), done=st.booleans(), version=st.sampled_from("12"))
    def a_page_is_stored(self, found, done, version):
        row = self.simulation.get(self.hand.row.id)
        if row.kind is ImportKind.FULL and not (row.checkpoint or {}).get("complete"):
            self.hand.discover(*found, done=done, version=version)

    @precondition(works)
    @rule(done=a_few, failed=a_few, again=a_few, held=a_few)
    def items_are_fetched(self, done, failed, again, held):
        taken = self.hand.claim(done + failed + again + held)
        self.hand.succeed(taken[:done])
        self.hand.fail(taken[done : done + failed])
        self.hand.fail(taken[done + failed : done + failed + again], again=timedelta(minutes=2))

    @precondition(works)
    @rule(reason=st.sampled_from(["done", "failed"]))
    def the_worker_ends_the_import(self, reason):
        with self.simulation.database.read() as connection:
            left = items.remaining(connection, self.hand.row.id).unfinished
        complete = (self.simulation.get(self.hand.row.id).checkpoint or {}).get("complete")
        if reason == "failed":
            self.hand.end(FAILED)
        elif complete and not left:
            self.hand.complete()
        else:
            return
        self.fate(RunState.GONE)
        self.hand = None

    @precondition(works)
    @rule(fate=st.sampled_from([RunState.ALIVE, RunState.GONE]))
    def the_worker_dies_or_freezes(self, fate):
        """Dagster notices at once, or never."""
        self.fate(fate)
        self.frozen.append(self.hand)
        self.hand = None

    @precondition(works)
    @rule(hours=st.integers(min_value=0, max_value=6))
    def the_worker_leaves_in_order(self, hours):
        """Release the import, on SIGTERM or for a long pause."""
        if hours:
            until = self.simulation.now + timedelta(hours=hours)
            self.simulation.call(leases.write, self.hand.lease, self.simulation.now, blocked_until=until)
        self.hand.leave()
        self.fate(RunState.GONE)
        self.hand = None

    @precondition(works)
    @rule(reacts=st.booleans())
    def a_person_terminates_the_run(self, reacts):
        if reacts:
            self.hand.end(CANCELLED)
        else:
            self.frozen.append(self.hand)
        self.fate(RunState.CANCELLED)
        self.hand = None

    @precondition(lambda self: self.frozen)
    @rule()
    def a_frozen_worker_wakes_up(self):
        hand = self.frozen.pop(0)
        try:
            row = self.simulation.get(hand.row.id)
        except ImportNotFound:
            return
        if (row.status, row.fence) == (ImportStatus.RUNNING, hand.row.fence) and row.pid is not None:
            self.frozen.append(hand)  # its death is unnoticed; it may die once more
            return
        for write in (hand.beat, hand.claim, lambda: hand.discover("late"), lambda: hand.end(FAILED)):
            with pytest.raises(LeaseLost):
                write()
        assert self.simulation.get(hand.row.id) == row

    # People

    @rule(kind=st.sampled_from([RequestKind.NEW, RequestKind.RESCHEDULE]))
    def a_person_requests_an_import(self, kind):
        requests.request_import(self.simulation.installation, self.simulation.source, kind, by="Ada")

    @rule(
        action=st.sampled_from([cancellation.cancel, retries.retry, deletion.delete, finalize.finalize]), data=st.data()
    )
    def a_person_acts_on_an_import(self, action, data):
        numbers = [row.id for row in self.simulation.all()]
        if numbers:
            number = data.draw(st.sampled_from(numbers[::-1]))
            with suppress(UsageError, InvalidTransition):
                action(self.simulation.installation, number)

    # Invariants

    @invariant()
    def one_import_runs(self):
        assert sum(row.status is ImportStatus.RUNNING for row in self.simulation.all()) <= 1

    @invariant()
    def no_slot_is_run_twice(self):
        assert all(len(started) == 1 for started in self.starts.values())

    @invariant()
    def counters_equal_the_rows(self):
        columns = import_item_statuses.c
        waiting = func.count(columns.next_attempt_at)
        counted = select(columns.import_id, columns.status, func.count(), waiting).group_by("import_id", "status")
        with self.simulation.database.read() as connection:
            found = {(number, status): (count, again) for number, status, count, again in connection.execute(counted)}
        nothing = (0, 0)
        for row in self.simulation.all():
            completed, _ = found.get((row.id, ItemStatus.COMPLETED), nothing)
            failed, waiting = found.get((row.id, ItemStatus.FAILED), nothing)
            assert row.items_imported_count + row.items_unchanged_count == completed
            assert row.items_failed_count == failed - waiting
            if row.status in ENDED:
                assert (row.id, ItemStatus.PROCESSING) not in found
            if row.status is COMPLETED:
                assert (row.id, ItemStatus.PENDING) not in found
                assert waiting == 0

    def teardown(self):
        """Tick and work until all imports have ended."""
        if self.hand is not None:
            self.the_worker_dies_or_freezes(RunState.ALIVE)
        self.schedule_is_on, self.asked = True, []
        for _ in range(1000):  # ends long before, or never
            self.a_tick(schedule=False)
            while self.asked:
                self.a_run_begins()
            if self.hand is not None:
                self.work_off()
            elif self.everything_has_ended():
                break
            else:
                self.simulation.advance(minutes=2)
        assert self.everything_has_ended()
        self.one_import_runs()
        self.no_slot_is_run_twice()
        self.counters_equal_the_rows()

    def work_off(self):
        """Work on the import until it has ended, as fast as its retries allow."""
        hand = self.hand
        self.hand_beats()
        while self.hand is not None:
            if not (self.simulation.get(hand.row.id).checkpoint or {}).get("complete"):
                hand.discover(*IDS)
            hand.succeed(hand.claim())
            self.the_worker_ends_the_import("done")
            self.simulation.advance(seconds=30)

    def everything_has_ended(self):
        left = [row for row in self.simulation.all() if row.status not in ENDED]
        waiting = [each for each in self.simulation.requests() if each["handled_at"] is None]
        return not waiting and all(row.slot_at and row.scheduled_at > self.simulation.now for row in left)
