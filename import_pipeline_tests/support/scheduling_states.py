"""Imports at a fixed moment, and the decisions that the scheduling rules make about them."""

from datetime import UTC, datetime, timedelta

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES
from import_pipeline.rules.scheduling import (
    Cancel,
    ImportState,
    Resume,
    Schedule,
    Start,
    Wait,
)
from import_pipeline.rules.slots import parse_slots
from import_pipeline.rules.status import ImportStatus, Trigger

SLOTS = parse_slots("0,3,6,9,12,15,18,21", "UTC")


NOW = datetime(2030, 6, 1, 10, tzinfo=UTC)


def at(hour, day=1):
    return datetime(2030, 6, day, hour, tzinfo=UTC)


def before(**passed):
    return NOW - timedelta(**passed)


def slot(number, hour, status=ImportStatus.SCHEDULED, **more):
    """Return an import of today's slot at that hour."""
    values = {"trigger": Trigger.SCHEDULE, "scheduled_at": at(hour), **more}
    return ImportState(id=number, status=status, slot_at=at(hour), **values)


def request(number, scheduled_at=NOW, trigger=Trigger.REQUEST, **more):
    """Return an import outside the slots."""
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


def resumed(resume, dead_run_id=None):
    reason = f"Import 1 is resumed: its worker is dead (resume {resume} of {MAX_RESUMES} without progress)."
    return Resume(import_id=1, dead_run_id=dead_run_id, counts=True, reason=reason)
