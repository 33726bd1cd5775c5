"""Requests that move a slot's import to now. Each names its slot and spends no other one."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import UsageError
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.rules.scheduling import ImportState, upcoming_slots
from import_pipeline.rules.status import UNENDED, ImportStatus, Trigger
from import_pipeline.tracking import events, requests, scheduling
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.requests import NewRequest, Request, RequestKind, attribution


@dataclass(frozen=True, kw_only=True)
class RecordedRequest:
    """The result of recording a request for a run."""

    id: int  #: of the request that will be fulfilled
    slot_at: datetime | None = None  #: the slot that a RESCHEDULE moves
    already: str | None = None  #: a sentence if an earlier request does the same; then nothing was added


def parse_slot(text: str | None) -> datetime | None:
    """Parse a slot from a form or command, in UTC unless it has an offset. Raises UsageError."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"expected a slot such as 2030-06-01T12:00+00:00, got {text[:40]!r}") from None


def next_slot(connection: Connection, source: ImportSource, now: datetime) -> datetime:
    """Return the next slot that is not spent."""
    states = [_state(row) for row in scheduling.open_imports(connection, source.name, now)]
    return next(upcoming_slots(states, source.timetable, now))


def keeps_slot(row: ImportRow, now: datetime) -> bool:
    """Return True if this row marks a future slot as spent; without it, the slot would be scheduled again."""
    return row.slot_at is not None and row.slot_at > now and _state(row).spends_slot()


def request_reschedule(
    connection: Connection,
    source: ImportSource,
    meant: datetime | None,
    now: datetime,
    *,
    by: str | None,
    reason: str | None,
) -> RecordedRequest:
    """Record a request to move a slot's import to now; if an earlier one does the same, say so."""
    waiting = [each for each in requests.waiting(connection, source.name) if each.kind is RequestKind.RESCHEDULE]
    earlier = next((each for each in waiting if meant is None or each.slot_at in {None, meant}), None)
    if earlier is not None:
        return RecordedRequest(id=earlier.id, slot_at=earlier.slot_at or meant, already=duplicate_answer(earlier))
    row = (
        scheduling.rescheduled_import(connection, source.name, now)
        if meant is None
        else _spent(connection, source, meant, now)
    )
    slot_at = (row.slot_at if row else meant) or next_slot(connection, source, now)
    new = NewRequest(source=source.name, kind=RequestKind.RESCHEDULE, slot_at=slot_at, requested_by=by, reason=reason)
    request_id = requests.record(connection, new, now)
    if row is None:
        return RecordedRequest(id=request_id, slot_at=slot_at)
    already = f"{spent_reason(row)}; nothing was added."
    if meant is None and row.status is ImportStatus.RUNNING:
        already = f"{already} `import-pipeline reschedule {source.name} --slot` moves another one."
    requests.claim(connection, request_id, now)
    requests.record_outcome(connection, request_id, already, row.id, has_changed_nothing=True)
    return RecordedRequest(id=request_id, slot_at=slot_at, already=already)


def _spent(connection: Connection, source: ImportSource, slot_at: datetime, now: datetime) -> ImportRow | None:
    """Return the import that has spent the slot, if any. Raises UsageError if the schedule has no such future slot.

    The slot of a waiting import can be moved even if its time has come or the schedule has changed since.
    """
    row = scheduling.of_slot(connection, source.name, slot_at)
    if row is not None and _state(row).spends_slot():
        return row
    waits = row is not None and row.status is ImportStatus.SCHEDULED
    if not waits and (slot_at <= now or source.timetable.latest_at(slot_at) != slot_at):
        raise UsageError(
            f"{source.name} has no slot to come at {slot_at:%Y-%m-%d %H:%M} UTC: "
            f"`import-pipeline schedule {source.name}` shows the next ones"
        )
    return None


def duplicate_answer(earlier: Request) -> str:
    """Return the answer to a request that repeats an earlier one."""
    return f"Request {earlier.id} of {earlier.requested_by or 'a person'} requests the same; nothing was added."


def reschedule(
    connection: Connection, source: ImportSource, request: Request, now: datetime
) -> tuple[int | None, str | None]:
    """Move the import of the request's slot to now; the slot is spent.

    Return the import's id, and a sentence if nothing was moved.
    """
    by = attribution(request.requested_by, None)
    slot_at = request.slot_at or next_slot(connection, source, now)
    scheduling.create_slot(connection, new_import(source, Trigger.SCHEDULE, slot_at=slot_at), now)
    row = scheduling.of_slot(connection, source.name, slot_at)
    if row is None:  # deleted by a person since
        return None, f"The import{_of_slot(slot_at)} was deleted; nothing was moved {by}."
    if not scheduling.reschedule(connection, row.id, now, request.requested_by):
        row = scheduling.of_slot(connection, source.name, slot_at) or row  # its current state
        return row.id, f"{spent_reason(row)}; nothing was moved {by}."
    sentence = f"Moved from {slot_at:%Y-%m-%d %H:%M} UTC to now {attribution(request.requested_by, request.reason)}."
    events.note(connection, row.id, now, "import_rescheduled", sentence)
    return row.id, None


def spent_reason(row: ImportRow) -> str:
    """Return why the slot's import cannot be moved, as the beginning of a sentence."""
    state = f"is {row.status} already"
    if row.trigger is Trigger.RESCHEDULE and row.status in UNENDED:
        state = "was moved to now already"
    return f"Import {row.id}{_of_slot(row.slot_at)} {state}"


def _of_slot(slot_at: datetime | None) -> str:
    return f" of the slot of {slot_at:%Y-%m-%d %H:%M} UTC" if slot_at else ""


def _state(row: ImportRow) -> ImportState:
    """Return the part of the import's state that the rules of slots need."""
    return ImportState(
        id=row.id,
        status=row.status,
        trigger=row.trigger,
        slot_at=row.slot_at,
        scheduled_at=row.scheduled_at or row.created_at,
        has_started=row.started_at is not None,
        cancel_requested_at=row.cancel_requested_at,
    )
