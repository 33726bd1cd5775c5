"""The scheduling rules, as tables: these imports, this moment, those decisions."""

from datetime import timedelta

import pytest

from import_pipeline.rules.resumes import MAX_RESUMES
from import_pipeline.rules.scheduling import (
    Cancel,
    End,
    Fail,
    Resume,
    Start,
    Wait,
    decide,
)
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline_tests.support.scheduling_states import (
    ALIVE,
    IS_RUNNING,
    KILLED,
    LEFT,
    NEXT,
    NOTHING,
    NOTHING_TILL_SIX,
    NOTHING_TILL_THREE,
    NOW,
    PLAN_NOON,
    PLAN_THREE,
    SILENT,
    SLOTS,
    asked,
    at,
    before,
    due,
    missed,
    request,
    resumed,
    running,
    slot,
    starting,
    worker,
)

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
        ("a request is no future import, and due although the clock was set back", [request(1, at(12))],
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
        ("requests wait, too", [running(), request(2), NEXT], [IS_RUNNING]),
        ("nothing is known of its worker", [running(liveness=None), NEXT], [IS_RUNNING]),
    ],
    "rule 5, requests": [
        ("a request starts", [request(1), NEXT], [asked(1)]),
        ("the oldest first", [request(2, before(minutes=1)), request(1), request(3, before(minutes=2)), NEXT],
         [asked(3)]),
        ("of the same moment the one that was written first", [request(2), request(1), NEXT], [asked(1)]),
        ("before the due slot, which is not cancelled", [slot(1, 9), request(2), NEXT], [asked(2)]),
        ("overdue slots are cancelled for a slot, not for a request", [slot(1, 6), request(2), slot(3, 9), NEXT],
         [missed(1, 6, 9), asked(2)]),
        ("a slot that was moved to now is the latest",
         [slot(1, 9), slot(2, 12, scheduled_at=NOW, trigger=Trigger.RESCHEDULE)],
         [missed(1, 9, 12), PLAN_THREE, asked(2)]),
        ("one that a command has just made for itself", [request(1, before(seconds=1), Trigger.CLI), slot(2, 9), NEXT],
         [starting(1)]),
        ("one that a command made and left", [request(1, before(minutes=2), Trigger.UI), NEXT], [asked(1)]),
        ("one whose run was just asked for holds the others", [request(1, run_requested_at=NOW), request(2), NEXT],
         [starting(1)]),
    ],
    "rules 6 and 7, a stalled import": [
        ("its process was killed", [running(liveness=KILLED), NEXT], [resumed(1)]),
        ("it is silent for the lease", [running(liveness=SILENT, resumes=1, run_id="r1"), NEXT], [resumed(2, "r1")]),
        ("its Dagster run has ended", [running(liveness=ALIVE, run_id="r1", run_is_gone=True), NEXT],
         [resumed(1, "r1")]),
        ("what is due waits for it", [running(liveness=KILLED), request(2), NEXT], [resumed(1)]),
        ("the last time", [running(liveness=KILLED, resumes=2), NEXT], [resumed(3)]),
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
        ("the rate-limit store is away", [running(liveness=LEFT, waits_for="no store"), NEXT],
         [Wait(reason="Import 1 waits: no store.")]),
        ("its process was killed while the store was away", [running(liveness=KILLED, waits_for="no store"), NEXT],
         [Wait(reason="Import 1 waits: no store.")]),
        ("it was to be cancelled while the store is away",
         [running(liveness=LEFT, cancel_requested_at=NOW, waits_for="no store"), NEXT],
         [End(import_id=1, dead_run_id=None, reason="Import 1 is cancelled as requested: its worker is dead.")]),
        ("killed in a pause, which counts", [running(liveness=KILLED, blocked_until=NOW), NEXT], [resumed(1)]),
        ("a run that resumes it was just requested",
         [running(liveness=SILENT, run_requested_at=before(seconds=5)), NEXT],
         [Wait(reason="Import 1 is about to be resumed by another run.")]),
        ("the request that it began with does not count",
         [running(liveness=KILLED, run_requested_at=before(seconds=5)), NEXT], [resumed(1)]),
        ("a run that resumes it did not come", [running(liveness=worker(timedelta(minutes=5)),
                                                      run_requested_at=before(seconds=61)), NEXT], [resumed(1)]),
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


STOPPED = Wait(reason="The schedule is off, and no import was requested.")


@pytest.mark.parametrize(
    ("imports", "decision"),
    [
        pytest.param([], STOPPED, id="nothing is scheduled"),
        pytest.param([slot(1, 6), slot(2, 9)], STOPPED, id="overdue slots neither start nor are cancelled"),
        pytest.param([slot(1, 9), request(2)], asked(2), id="requests start"),
        pytest.param(
            [slot(1, 9), slot(2, 12, scheduled_at=NOW, trigger=Trigger.RESCHEDULE)],
            asked(2),
            id="a slot that a person moved to now starts",
        ),
        pytest.param([running(liveness=KILLED)], resumed(1), id="a running import is resumed"),
    ],
)
def test_rule_8_a_stopped_schedule_stops_the_slots_only(imports, decision):
    assert decide(imports, SLOTS, NOW, schedule_is_on=False) == [decision]
