"""The scheduling rules, as tables: these imports, this moment, those decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES
from import_pipeline.rules.scheduling import (
    MAX_MISSED_SLOTS,
    Cancel,
    End,
    Fail,
    ImportState,
    Resume,
    Schedule,
    Start,
    Wait,
    decide,
    missed_slots,
)
from import_pipeline.rules.slots import end_of_off_time, parse_slots
from import_pipeline.rules.status import ImportStatus, Trigger

SLOTS = parse_slots("0,3,6,9,12,15,18,21", "UTC")
NOW = datetime(2030, 6, 1, 10, tzinfo=UTC)


def at(hour, day=1):
    return datetime(2030, 6, day, hour, tzinfo=UTC)


def before(**passed):
    return NOW - timedelta(**passed)


def slot(number, hour, status=ImportStatus.SCHEDULED, **more):
    """An import of today's slot at that hour."""
    values = {"trigger": Trigger.SCHEDULE, "scheduled_at": at(hour), **more}
    return ImportState(id=number, status=status, slot_at=at(hour), **values)


def wish(number, scheduled_at=NOW, trigger=Trigger.REQUEST, **more):
    """An import outside the slots."""
    values = {"status": ImportStatus.SCHEDULED, **more}
    return ImportState(id=number, trigger=trigger, slot_at=None, scheduled_at=scheduled_at, **values)


def worker(seen=timedelta(seconds=1), *, alive=None, owner=True):
    return Liveness(heartbeat_at=NOW - seen, lease_seconds=60.0, has_owner=owner, process_alive=alive)


def running(number=1, hour=9, **more):
    return slot(number, hour, ImportStatus.RUNNING, **{"liveness": worker(), **more})


ALIVE, SILENT, KILLED = worker(), worker(timedelta(seconds=60)), worker(alive=False)
LEFT = worker(owner=False)
NEXT = slot(99, 12)
NOTHING, NOTHING_TILL_THREE, NOTHING_TILL_SIX = (
    Wait(reason=f"Nothing is due before 2030-06-01 {hour}:00 UTC.") for hour in (12, 15, 18)
)
PLAN_NOON = Schedule(slot_at=at(12), reason="The next slot is 2030-06-01 12:00 UTC.")
PLAN_THREE = Schedule(slot_at=at(15), reason="The next slot is 2030-06-01 15:00 UTC.")
IS_RUNNING = Wait(reason="Import 1 is running.")


def due(number, hour):
    return Start(import_id=number, reason=f"Import {number} is due since 2030-06-01 {hour:02}:00 UTC.")


def asked(number):
    return Start(import_id=number, reason=f"Import {number} is next.")


def missed(number, hour, latest):
    reason = (
        f"The slot of 2030-06-01 {hour:02}:00 UTC was missed; the one of 2030-06-01 {latest:02}:00 UTC takes its place."
    )
    return Cancel(import_id=number, reason=reason)


def starting(number):
    return Wait(reason=f"Import {number} is about to start.")


def goes_on(resume, dead_run_id=None):
    reason = f"Import 1 is resumed: its worker is dead (resume {resume} of {MAX_RESUMES} without progress)."
    return Resume(import_id=1, dead_run_id=dead_run_id, counts=True, reason=reason)


TABLE = {
    "rule 1, a future import": [
        ("an empty database", [], [PLAN_NOON, NOTHING]),
        ("the next slot has its import", [NEXT], [NOTHING]),
        ("a later slot's import is not the next one's", [slot(1, 15)], [PLAN_NOON, NOTHING]),
        ("the next slot is spent, moved to now", [slot(1, 12, scheduled_at=NOW, trigger=Trigger.RESCHEDULE)],
         [PLAN_THREE, asked(1)]),
        ("the next slot is spent, and its import runs", [running(1, 12)], [PLAN_THREE, IS_RUNNING]),
        ("the next slot is spent, its import has ended", [slot(1, 12, ImportStatus.COMPLETED)],
         [PLAN_THREE, NOTHING_TILL_THREE]),
        ("the next slot was cancelled by a person", [slot(1, 12, ImportStatus.CANCELLED, cancel_requested_at=NOW)],
         [PLAN_THREE, NOTHING_TILL_THREE]),
        ("two slots are spent, the third has its import",
         [slot(1, 12, ImportStatus.CANCELLED, has_started=True), slot(2, 15, ImportStatus.FAILED), slot(3, 18)],
         [NOTHING_TILL_SIX]),
        ("a rule cancelled the next slot's import, and spent nothing", [slot(1, 12, ImportStatus.CANCELLED)],
         [PLAN_NOON, NOTHING]),
        ("slots that were changed since", [slot(1, 11)],
         [Cancel(import_id=1, reason="The schedule no longer has a slot at 2030-06-01 11:00 UTC."),
          PLAN_NOON, NOTHING]),
        ("a request is no future import, and due although the clock was set back", [wish(1, at(12))],
         [PLAN_NOON, asked(1)]),
        ("a slot that was moved to now is due although the clock was set back",
         [slot(1, 15, scheduled_at=at(14), trigger=Trigger.RESCHEDULE)], [PLAN_NOON, asked(1)]),
    ],
    "rules 2 and 3, overdue slots": [
        ("one is due", [slot(1, 9), NEXT], [due(1, 9)]),
        ("one is due this very moment", [slot(1, 9, scheduled_at=NOW), NEXT],
         [Start(import_id=1, reason="Import 1 is due since 2030-06-01 10:00 UTC.")]),
        ("after a downtime only the latest starts", [slot(1, 3), slot(2, 6), slot(3, 9), NEXT],
         [missed(1, 3, 9), missed(2, 6, 9), due(3, 9)]),
        ("whatever order they come in", [slot(3, 9), NEXT, slot(1, 3)], [missed(1, 3, 9), due(3, 9)]),
        ("a slot that the settings no longer have does not start", [slot(1, 8), NEXT],
         [Cancel(import_id=1, reason="The schedule no longer has a slot at 2030-06-01 08:00 UTC."), NOTHING]),
        ("unless its run was just asked for", [slot(1, 8, run_requested_at=NOW), NEXT], [starting(1)]),
        ("nor does it hide the slot that is due", [slot(1, 9), slot(2, 10), NEXT],
         [Cancel(import_id=2, reason="The schedule no longer has a slot at 2030-06-01 10:00 UTC."), due(1, 9)]),
        ("a run that a clock far ahead has asked for did not come", [slot(1, 9, run_requested_at=at(13)), NEXT],
         [due(1, 9)]),
        ("a clock that is a little ahead asked for a run",
         [slot(1, 9, run_requested_at=NOW + timedelta(seconds=9)), NEXT], [starting(1)]),
        ("an older one whose run was just asked for is left alone",
         [slot(1, 6, run_requested_at=before(seconds=59)), slot(2, 9), NEXT], [starting(1)]),
        ("the latest one's run was just asked for", [slot(1, 6), slot(2, 9, run_requested_at=NOW), NEXT],
         [missed(1, 6, 9), starting(2)]),
        ("a run that was asked for a minute ago did not come", [slot(1, 9, run_requested_at=before(seconds=60)), NEXT],
         [due(1, 9)]),
    ],
    "rule 4, one at a time": [
        ("the due slot waits", [running(1, 6), slot(2, 9), NEXT], [IS_RUNNING]),
        ("older overdue ones are cancelled meanwhile", [running(1, 0), slot(2, 6), slot(3, 9), NEXT],
         [missed(2, 6, 9), IS_RUNNING]),
        ("requests wait, too", [running(), wish(2), NEXT], [IS_RUNNING]),
        ("nothing is known of its worker", [running(liveness=None), NEXT], [IS_RUNNING]),
    ],
    "rule 5, requests": [
        ("a request starts", [wish(1), NEXT], [asked(1)]),
        ("the oldest first", [wish(2, before(minutes=1)), wish(1), wish(3, before(minutes=2)), NEXT], [asked(3)]),
        ("of the same moment the one that was written first", [wish(2), wish(1), NEXT], [asked(1)]),
        ("before the due slot, which is not cancelled", [slot(1, 9), wish(2), NEXT], [asked(2)]),
        ("overdue slots are cancelled for a slot, not for a request", [slot(1, 6), wish(2), slot(3, 9), NEXT],
         [missed(1, 6, 9), asked(2)]),
        ("a slot that was moved to now is the latest",
         [slot(1, 9), slot(2, 12, scheduled_at=NOW, trigger=Trigger.RESCHEDULE)],
         [missed(1, 9, 12), PLAN_THREE, asked(2)]),
        ("one that a command has just made for itself", [wish(1, before(seconds=1), Trigger.CLI), slot(2, 9), NEXT],
         [starting(1)]),
        ("one that a command made and left", [wish(1, before(minutes=2), Trigger.UI), NEXT], [asked(1)]),
        ("one whose run was just asked for holds the others", [wish(1, run_requested_at=NOW), wish(2), NEXT],
         [starting(1)]),
    ],
    "rules 6 and 7, a worker that is gone": [
        ("its process was killed", [running(liveness=KILLED), NEXT], [goes_on(1)]),
        ("it is silent for the lease", [running(liveness=SILENT, resumes=1, run_id="r1"), NEXT], [goes_on(2, "r1")]),
        ("its Dagster run is gone", [running(liveness=ALIVE, run_id="r1", run_is_gone=True), NEXT], [goes_on(1, "r1")]),
        ("what is due waits for it", [running(liveness=KILLED), wish(2), NEXT], [goes_on(1)]),
        ("the last time", [running(liveness=KILLED, resumes=2), NEXT], [goes_on(3)]),
        ("too often", [running(liveness=KILLED, resumes=3, run_id="r4"), NEXT],
         [Fail(import_id=1, dead_run_id="r4",
               reason="Import 1 was resumed 3 times without progress; its worker died each time.")]),
        ("it broke off, which counts", [running(liveness=LEFT, worker_error="ValueError: no", resumes=1), NEXT],
         [Resume(import_id=1, dead_run_id=None, counts=True, reason=(
             f"Import 1 is resumed: its worker broke off (resume 2 of {MAX_RESUMES} without progress)."))]),
        ("it broke off too often", [running(liveness=LEFT, worker_error="ValueError: no", resumes=3), NEXT],
         [Fail(import_id=1, dead_run_id=None, reason=(
             "Import 1 was resumed 3 times without progress; at last it broke off: ValueError: no."))]),
        ("it left in order, which does not count", [running(liveness=LEFT, resumes=3), NEXT],
         [Resume(import_id=1, dead_run_id=None, counts=False,
                 reason="Import 1 is resumed: its worker released it.")]),
        ("it left for a long pause", [running(liveness=LEFT, blocked_until=at(11)), NEXT],
         [Wait(reason="Import 1 is paused until 2030-06-01 11:00 UTC, as the API requested.")]),
        ("the long pause is over", [running(liveness=LEFT, blocked_until=NOW, resumes=3), NEXT],
         [Resume(import_id=1, dead_run_id=None, counts=False,
                 reason="Import 1 is resumed: its worker released it.")]),
        ("the store of the limits is away", [running(liveness=LEFT, waits_for="no store"), NEXT],
         [Wait(reason="Import 1 waits: no store.")]),
        ("its process was killed while the store was away", [running(liveness=KILLED, waits_for="no store"), NEXT],
         [Wait(reason="Import 1 waits: no store.")]),
        ("it was to be cancelled while the store is away",
         [running(liveness=LEFT, cancel_requested_at=NOW, waits_for="no store"), NEXT],
         [End(import_id=1, dead_run_id=None, reason="Import 1 is cancelled as requested: its worker is dead.")]),
        ("killed in a pause, which counts", [running(liveness=KILLED, blocked_until=NOW), NEXT], [goes_on(1)]),
        ("a run to go on with was just asked for",
         [running(liveness=SILENT, run_requested_at=before(seconds=5)), NEXT],
         [Wait(reason="Import 1 is about to be resumed by another run.")]),
        ("the request that it began with does not count",
         [running(liveness=KILLED, run_requested_at=before(seconds=5)), NEXT], [goes_on(1)]),
        ("a run to go on with did not come", [running(liveness=worker(timedelta(minutes=5)),
                                                      run_requested_at=before(seconds=61)), NEXT], [goes_on(1)]),
        ("it was to be cancelled", [running(liveness=KILLED, cancel_requested_at=NOW, run_id="r1"), NEXT],
         [End(import_id=1, dead_run_id="r1", reason="Import 1 is cancelled as requested: its worker is dead.")]),
        ("it was to be cancelled in a long pause",
         [running(liveness=LEFT, cancel_requested_at=NOW, blocked_until=at(11)), NEXT],
         [End(import_id=1, dead_run_id=None, reason="Import 1 is cancelled as requested: its worker is dead.")]),
        ("it lives and is to be cancelled: it reads that itself",
         [running(cancel_requested_at=NOW), NEXT], [IS_RUNNING]),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("imports", "decisions"),
    [pytest.param(*case, id=f"{rule}: {name}") for rule, cases in TABLE.items() for name, *case in cases],
)
def test_the_rules(imports, decisions):
    assert decide(imports, SLOTS, NOW) == decisions


@pytest.mark.parametrize(
    ("imports", "missed"),
    [
        pytest.param([], [], id="the first look of all"),
        pytest.param([slot(1, 9)], [], id="the due slot is the latest"),
        pytest.param([slot(1, 3)], [at(6), at(9)], id="two slots went by after the one that was planned"),
        pytest.param([slot(1, 3), slot(2, 6)], [at(9)], id="one of them is filled"),
        pytest.param([slot(1, 3), NEXT], [], id="somebody has looked since"),
        pytest.param([running(1, 0), slot(2, 3)], [at(6), at(9)], id="an import was running when all went down"),
        pytest.param([running(1, 0)], [], id="nothing is due: the schedule was stopped"),
        pytest.param([wish(1)], [], id="a request is no slot"),
        pytest.param([slot(1, 12, scheduled_at=NOW, trigger=Trigger.RESCHEDULE)], [], id="a coming slot is spent"),
    ],
)
def test_slots_that_passed_unseen_are_told(imports, missed):
    assert [one.slot_at for one in missed_slots(imports, SLOTS, NOW)] == missed


@given(hours=st.integers(min_value=0, max_value=24 * 40))
def test_after_any_downtime_the_history_tells_the_latest_slots_without_a_gap(hours):
    planned = [slot(1, 12)]
    now = at(12) + timedelta(hours=hours)
    missed = [one.slot_at for one in missed_slots(planned, SLOTS, now)]
    assert missed == list(takewhile(lambda slot_at: slot_at <= now, SLOTS.after(at(12))))[-MAX_MISSED_SLOTS:]
    filled = [
        *planned,
        *(replace(planned[0], id=n, slot_at=each, scheduled_at=each) for n, each in enumerate(missed, 2)),
    ]
    assert missed_slots(filled, SLOTS, now) == []
    started = [one for one in decide(filled, SLOTS, now) if isinstance(one, Start)]
    assert [one.import_id for one in started] == [len(filled)]
    cancelled = [one.import_id for one in decide(filled, SLOTS, now) if isinstance(one, Cancel)]
    assert cancelled == [one.id for one in filled[:-1]]


@pytest.mark.parametrize(
    ("seen_off_at", "on_since", "end"),
    [
        pytest.param(at(9), None, NOW, id="the moment of the switch is unknown: no slot was seen while it was on"),
        pytest.param(at(6), at(8), at(8), id="switched on while no daemon looked"),
        pytest.param(at(9), at(8), NOW, id="seen to be off after that: the moment of the last switch is unknown"),
        pytest.param(at(9), at(12), NOW, id="the clock was set back since"),
        pytest.param(at(12), None, NOW, id="seen by a clock that was ahead"),
    ],
)
def test_a_schedule_was_off_until_it_was_switched_on(seen_off_at, on_since, end):
    assert end_of_off_time(seen_off_at, on_since, NOW) == end


@pytest.mark.parametrize(
    ("imports", "off_until", "missed"),
    [
        pytest.param([slot(1, 3)], NOW, [], id="off until now"),
        pytest.param([slot(1, 3)], at(5), [at(6), at(9)], id="on again, and no daemon looked"),
        pytest.param([], at(8), [at(9)], id="nothing was planned before it was off"),
        pytest.param([NEXT], at(8), [], id="planned since"),
    ],
)
def test_slots_while_the_schedule_was_off_are_not_missed(imports, off_until, missed):
    assert [one.slot_at for one in missed_slots(imports, SLOTS, NOW, off_until=off_until)] == missed


def test_slots_while_the_schedule_was_off_are_not_made_up():
    waiting = [slot(1, 6), slot(2, 9), NEXT]
    while_off = [
        Cancel(import_id=n, reason=f"The schedule was off at 2030-06-01 0{hour}:00 UTC.")
        for n, hour in ((1, 6), (2, 9))
    ]
    assert decide(waiting, SLOTS, NOW, off_until=NOW) == [*while_off, NOTHING]
    assert decide(waiting, SLOTS, NOW, off_until=at(8)) == [while_off[0], due(2, 9)]
    moved = slot(1, 9, scheduled_at=at(8), trigger=Trigger.RESCHEDULE)
    assert decide([moved, NEXT], SLOTS, NOW, off_until=NOW) == [asked(1)], "a person asked for it"


STOPPED = Wait(reason="The schedule is off, and no import was requested.")


@pytest.mark.parametrize(
    ("imports", "decision"),
    [
        pytest.param([], STOPPED, id="nothing is scheduled"),
        pytest.param([slot(1, 6), slot(2, 9)], STOPPED, id="overdue slots neither start nor are cancelled"),
        pytest.param([slot(1, 9), wish(2)], asked(2), id="requests go on"),
        pytest.param(
            [slot(1, 9), slot(2, 12, scheduled_at=NOW, trigger=Trigger.RESCHEDULE)],
            asked(2),
            id="a slot that a person moved to now goes on",
        ),
        pytest.param([running(liveness=KILLED)], goes_on(1), id="a running import is resumed"),
    ],
)
def test_rule_8_a_stopped_schedule_stops_the_slots_only(imports, decision):
    assert decide(imports, SLOTS, NOW, schedule_is_on=False) == [decision]


class World:
    """Imports as they stand, and a clock; the decisions are carried out at once, workers die or end as told."""

    def __init__(self):
        self.now, self.imports, self.numbers = NOW, {}, count(1)
        self.started_slots = []

    def tick(self):
        decisions = decide(list(self.imports.values()), SLOTS, self.now)
        for decision in decisions:
            self.carry_out(decision)
        return decisions

    def carry_out(self, decision):
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
