"""Invariants of the scheduling rules over random sequences of events."""

from dataclasses import replace
from datetime import timedelta
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.scheduling import (
    Cancel,
    End,
    Fail,
    ImportState,
    Resume,
    Schedule,
    Start,
    Wait,
    decide,
)
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline_tests.support.scheduling_states import (
    NOW,
    SLOTS,
)


class World:
    """The imports and a clock; decisions are executed at once, and workers die or end by events."""

    def __init__(self):
        self.now, self.imports, self.numbers = NOW, {}, count(1)
        self.started_slots = []

    def tick(self):
        decisions = decide(list(self.imports.values()), SLOTS, self.now)
        for decision in decisions:
            self.execute(decision)
        return decisions

    def execute(self, decision):
        match decision:
            case Schedule(slot_at=slot_at):
                of_slot = [one for one in self.imports.values() if one.slot_at == slot_at]
                assert not any(one.spends_slot() for one in of_slot), "a slot is spent once"
                for one in of_slot:  # the row of a slot is unique: it is scheduled again
                    self.become(one.id, ImportStatus.SCHEDULED, ImportStatus.CANCELLED)
                if not of_slot:
                    self.add(slot_at=slot_at, scheduled_at=slot_at, trigger=Trigger.SCHEDULE)
            case Cancel(import_id=number):
                self.become(number, ImportStatus.CANCELLED, ImportStatus.SCHEDULED)
            case Start(import_id=number):
                self.become(number, ImportStatus.RUNNING, ImportStatus.SCHEDULED, liveness=self.worker())
            case Resume(import_id=number, counts=counts):
                resumes = self.imports[number].resumes + counts
                self.become(number, ImportStatus.RUNNING, ImportStatus.RUNNING, liveness=self.worker(), resumes=resumes)
            case Fail(import_id=number):
                self.become(number, ImportStatus.FAILED, ImportStatus.RUNNING)
            case End(import_id=number):
                self.become(number, ImportStatus.CANCELLED, ImportStatus.RUNNING)

    def add(self, **values):
        number = next(self.numbers)
        self.imports[number] = ImportState(id=number, status=ImportStatus.SCHEDULED, **values)

    def become(self, number, status, expected, **values):
        assert self.imports[number].status is expected
        self.imports[number] = replace(self.imports[number], status=status, **values)

    def running(self):
        return [one for one in self.imports.values() if one.status is ImportStatus.RUNNING]

    def coming(self):
        """The import of the next slot, which RESCHEDULE moves."""
        scheduled = [one for one in self.imports.values() if one.status is ImportStatus.SCHEDULED and one.slot_at]
        return min((one for one in scheduled if one.scheduled_at > self.now), key=lambda one: one.slot_at, default=None)

    def worker(self):
        return Liveness(heartbeat_at=self.now, lease_seconds=10.0**9, has_owner=True, process_alive=True)

    def happen(self, what):
        for one in self.running():
            if what == "ends":
                self.become(one.id, ImportStatus.COMPLETED, ImportStatus.RUNNING)
            elif what == "dies":
                self.imports[one.id] = replace(one, liveness=replace(one.liveness, process_alive=False))
            elif what == "cancel":
                self.imports[one.id] = replace(one, cancel_requested_at=self.now)
        if what == "new":
            self.add(slot_at=None, scheduled_at=self.now, trigger=Trigger.REQUEST)
        elif what == "reschedule" and (moved := self.coming()):
            self.imports[moved.id] = replace(moved, scheduled_at=self.now, trigger=Trigger.RESCHEDULE)


# Minutes may be below zero: clocks are set back, too.
happenings = st.lists(
    st.tuples(
        st.sampled_from(["nothing", "ends", "dies", "cancel", "new", "reschedule"]), st.integers(-5 * 60, 20 * 60)
    ),
    max_size=60,
)


@given(happenings=happenings)
def test_whatever_happens_one_runs_the_next_slot_is_planned_and_everything_ends(happenings):
    world = World()
    for what, minutes in happenings:
        world.now += timedelta(minutes=minutes)
        world.happen(what)
        decisions = world.tick()
        assert len(world.running()) <= 1
        assert sum(isinstance(one, Start | Resume | Fail | End | Wait) for one in decisions) == 1
        assert world.coming() is not None
    for _ in range(3 * len(world.imports) + 3):  # from here on every import ends at once
        world.happen("ends")
        world.tick()
    waiting = [one for one in world.imports.values() if one.status is ImportStatus.SCHEDULED]
    assert world.running() == []
    assert [one for one in waiting if one.scheduled_at <= world.now] == []
