"""What people wish for: written down with who, when and why, and carried out once.

NEW and RESCHEDULE wait for the sensor (or `start-scheduled`), which is what launches runs. CANCEL, RETRY and DELETE
change rows only and happen at once; they are written down all the same.
"""

from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportNotFound, InvalidTransition, UsageError
from import_pipeline.importer.control.answers import Answer, Retried, said_of
from import_pipeline.importer.control.rescheduling import (
    Asked,
    keeps_slot,
    request_reschedule,
    reschedule,
    said_of_earlier,
)
from import_pipeline.importer.control.unlisted import lease_of
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.workers import worker_states
from import_pipeline.rules.status import ENDED, ImportStatus, Trigger
from import_pipeline.tracking import events, imports, items, requests, scheduling, transitions
from import_pipeline.tracking.database.locks import requests_lock
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.requests import Request, RequestKind
from import_pipeline.wording import plural


def request_import(
    installation: Installation,
    source: ImportSource,
    wish: RequestKind,
    *,
    fresh: bool = False,
    shards: int | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> int:
    """The same as `request_run`; returns the request's id."""
    return request_run(installation, source, wish, fresh=fresh, shards=shards, by=by, reason=reason).id


def request_run(
    installation: Installation,
    source: ImportSource,
    wish: RequestKind,
    *,
    fresh: bool = False,
    shards: int | None = None,
    slot_at: datetime | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> Asked:
    """Record a request for a run (NEW or RESCHEDULE). `shards`: else as the source says.

    `slot_at`: the slot that a RESCHEDULE means; without it the next one, or that of the import that was moved and has
    not ended. Two people who mean the same slot move it once. A second NEW of the same person adds nothing until the
    first is carried out; that of another person is an import of its own. Raises UsageError for no slot of the schedule.
    """
    if wish not in {RequestKind.NEW, RequestKind.RESCHEDULE}:
        raise UsageError(f"{wish}: expected new or reschedule; the other wishes name an import")
    now = installation.clock.now()

    def unit(connection: Connection) -> Asked:
        requests_lock(connection, source.name)  # of two at the same moment, the second sees the first
        if wish is RequestKind.RESCHEDULE:
            return request_reschedule(connection, source, slot_at, now, by=by, reason=reason)
        same = (
            each
            for each in requests.waiting(connection, source.name)
            if by and (each.wish, each.requested_by, each.fresh, each.shards) == (wish, by, fresh, shards)
        )
        earlier = next(same, None)
        if earlier is not None:
            return Asked(id=earlier.id, already=said_of_earlier(earlier))
        asked = requests.ask(
            connection, source.name, wish, now, fresh=fresh, requested_by=by, reason=reason, shards=shards
        )
        return Asked(id=asked)

    return installation.transact(unit)


def fulfil(connection: Connection, source: ImportSource, request: Request, now: datetime) -> str | None:
    """Carry a request for a run out; returns the outcome, None if another process has done it."""
    if not requests.take(connection, request.id, now):
        return None
    if request.wish is RequestKind.RESCHEDULE:
        made, outcome = reschedule(connection, source, request, now)
    else:
        made, outcome = _new(connection, source, request, now), None
    outcome = outcome or f"Import {made} was asked for by {request.requested_by or 'somebody'}."
    requests.answer(connection, request.id, outcome, made)
    return outcome


def _new(connection: Connection, source: ImportSource, request: Request, now: datetime) -> int:
    """An extra import, due since it was asked for."""
    new = new_import(
        source,
        Trigger.REQUEST,
        fresh=request.fresh,
        shards=request.shards,
        scheduled_at=request.requested_at,
        by=request.requested_by,
    )
    made = imports.create(connection, new, now)
    sentence = f"Asked for {said_of(request.requested_by, request.reason)}."
    events.note(connection, made.id, now, "import_requested", sentence)
    return made.id


def cancel(installation: Installation, import_id: int, *, by: str | None = None, reason: str | None = None) -> Answer:
    """End a scheduled import at once; a running one ends as soon as its worker reads the wish, within two seconds.

    One whose worker is gone is ended by the next tick of the sensor, or by `start-scheduled`; at once if its source is
    not listed any more.

    A second request for the same changes nothing. Raises ImportNotFound, and InvalidTransition for an import that has
    completed or failed.
    """
    now = installation.clock.now()
    who = by or "a person"

    def unit(connection: Connection) -> Answer:
        row = imports.get(connection, import_id, locked=True)
        check_cancel(connection, row, now)
        already = cancelled_already(row)
        if already and (row.status in ENDED or _is_listed(installation, row)):
            return Answer(sentence=already, already=True)
        if scheduling.cancel_scheduled(connection, import_id, now, f"cancelled by {who}", by_person=True):
            sentence = f"Import {import_id} was scheduled and is cancelled."
        else:
            if not already:
                transitions.request_cancel(connection, import_id, now, by)
            sentence = f"Import {import_id} is running; it ends within two seconds. What it imported is kept."
            if _has_no_worker(connection, installation, row, now):
                # Not ended here: whoever ends it must also tell Dagster that its run is dead.
                ends = f"the sensor, or `start-scheduled {row.source}`, ends it"
                sentence = f"Import {import_id} has no worker any more; {ends}. What it imported is kept."
                if not _is_listed(installation, row):
                    transitions.end_stalled(connection, row, now, ImportStatus.CANCELLED, f"cancelled by {who}")
                    sentence = f"Import {import_id} had no worker any more and is cancelled. What it imported is kept."
                    already = None
        if already:
            return Answer(sentence=already, already=True)
        if row.cancel_requested_at is None:
            asked = f"To be cancelled: {reason or 'wished by ' + who}."
            events.note(connection, import_id, now, "cancel_requested", asked)
        _record(connection, row, RequestKind.CANCEL, now, sentence, by=by, reason=reason)
        return Answer(sentence=sentence)

    return installation.transact(unit)


def check_cancel(connection: Connection, row: ImportRow, now: datetime) -> None:
    """Raise InvalidTransition if the import has ended otherwise."""
    if row.status in ENDED and row.status is not ImportStatus.CANCELLED:
        raise InvalidTransition(f"import {row.id}", ImportStatus.CANCELLED, row.status)


def cancelled_already(row: ImportRow) -> str | None:
    """A sentence, if the import is cancelled or an earlier request asks for it; else None."""
    if row.status is ImportStatus.CANCELLED:
        return f"Import {row.id} is cancelled already: nothing was changed."
    if row.status is ImportStatus.RUNNING and row.cancel_requested_at is not None:
        at = f"{row.cancel_requested_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"Import {row.id} is to be cancelled already, since {at}: nothing was changed."
    return None


def _has_not_ended(row: ImportRow) -> UsageError:
    return UsageError(f"import {row.id} is {row.status}: expected one that has ended; cancel it first")


def _has_no_worker(connection: Connection, installation: Installation, row: ImportRow, now: datetime) -> bool:
    """Whether no worker would read a request."""
    return not any(worker_states(connection, row.id, lease_of(installation, row), now).values())


def _is_listed(installation: Installation, row: ImportRow) -> bool:
    return any(each.name == row.source for each in installation.sources)


def retry(installation: Installation, import_id: int, *, by: str | None = None, reason: str | None = None) -> Retried:
    """Schedule an import of the items that another one has left failed or undone; it is due now.

    If one of them waits or runs already, nothing is added. Raises ImportNotFound, and UsageError if that import has not
    ended or has left nothing.
    """
    now = installation.clock.now()

    def unit(connection: Connection) -> Retried:
        row = imports.get(connection, import_id, locked=True)  # the second of two finds the retry of the first
        if row.status not in ENDED:
            raise _has_not_ended(row)
        retry_id = scheduling.open_retry_of(connection, import_id)
        if retry_id is not None:
            already = f"Import {retry_id} retries what import {import_id} has left already: nothing was added."
            return Retried(row=imports.get(connection, retry_id), already=already)
        left = items.unfinished(connection, import_id)
        if not left:
            raise UsageError(
                f"import {import_id} has left nothing failed or undone that was not imported since: "
                "there is nothing to retry"
            )
        source = next((each for each in installation.sources if each.name == row.source), None)
        if source is None:
            raise UsageError(
                f"import {import_id} belongs to the source {row.source}, which is not listed any more: "
                "list it in IMPORT_PIPELINE_SOURCES again, then retry"
            )
        new = new_import(source, Trigger.RETRY, retry_of=import_id, scheduled_at=now, by=by)
        made = imports.create(connection, new, now)
        outcome = f"Import {made.id} retries {plural(left, 'item')} of import {import_id}."
        sentence = f"{outcome} Asked for {said_of(by, reason)}."
        events.note(connection, made.id, now, "import_requested", sentence)
        _record(connection, row, RequestKind.RETRY, now, outcome, by=by, reason=reason, result=made.id)
        return Retried(row=made)

    return installation.transact(unit)


def delete(installation: Installation, import_id: int, *, by: str | None = None, reason: str | None = None) -> Answer:
    """Delete an ended import with its item rows and events; what it imported stays.

    One that a person has deleted before is said to be deleted already. Raises ImportNotFound, and UsageError where it
    has not ended, or where its rows are still needed.
    """
    now = installation.clock.now()

    def unit(connection: Connection) -> Answer:
        try:
            row = imports.get(connection, import_id, locked=True)  # it waits for a retry that begins at this moment
        except ImportNotFound:
            if not requests.has_deleted(connection, import_id):
                raise
            return Answer(sentence=f"Import {import_id} is deleted already: nothing was changed.", already=True)
        check_delete(connection, row, now)
        scheduling.delete_ended(connection, import_id)
        sentence = f"Import {import_id} is deleted."
        _record(connection, row, RequestKind.DELETE, now, sentence, by=by, reason=reason)
        return Answer(sentence=sentence)

    return installation.transact(unit)


def check_delete(connection: Connection, row: ImportRow, now: datetime) -> None:
    """Raise UsageError where the import cannot be deleted now.

    The row of a coming slot tells that the slot is spent; a retry that has not begun finds its items in the rows.
    """
    if row.status not in ENDED:
        raise _has_not_ended(row)
    if keeps_slot(row, now):
        slot = f"the slot of {row.slot_at:%Y-%m-%d %H:%M} UTC"
        raise UsageError(f"import {row.id} keeps {slot} from being filled again: delete it after that")
    retry_id = scheduling.open_retry_of(connection, row.id)
    if retry_id is not None:
        raise UsageError(f"import {retry_id} retries what import {row.id} has left: delete it after that one has ended")


def _record(
    connection: Connection,
    row: ImportRow,
    wish: RequestKind,
    now: datetime,
    outcome: str,
    *,
    by: str | None,
    reason: str | None,
    result: int | None = None,
) -> None:
    """Keep a wish that was carried out at once."""
    asked = requests.ask(connection, row.source, wish, now, import_id=row.id, requested_by=by, reason=reason)
    requests.take(connection, asked, now)
    requests.answer(connection, asked, outcome, result)
