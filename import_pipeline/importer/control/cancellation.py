"""Cancel a scheduled or running import, and end what a dead worker no longer does."""

from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from import_pipeline.errors import InvalidTransition, LeaseLost
from import_pipeline.importer.control.requests import Answer, record_fulfilled
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.take_over import end_stalled
from import_pipeline.importer.lifecycle.workers import has_living_worker
from import_pipeline.rules.status import ENDED, ImportStatus
from import_pipeline.tracking import events, imports, scheduling, transitions
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.requests import NewRequest, RequestKind, attribution

#: Running imports that are looked at; a source has at most one.
MAX_RUNNING = 100
DEAD = "cancellation was requested, and its worker is dead"


def cancel(installation: Installation, import_id: int, *, by: str | None = None, reason: str | None = None) -> Answer:
    """Cancel an import.

    A scheduled import ends immediately. A running one ends within two seconds, when its worker reads the request. A
    stalled one ends at the sensor's next tick or by `start-scheduled`; immediately if its source is no longer listed. A
    second request changes nothing. Raises ImportNotFound; InvalidTransition if the import has completed or failed.
    """
    now = installation.clock.now()
    who = by or "a person"

    def unit(connection: Connection) -> Answer:
        row = imports.get(connection, import_id, locked=True)
        check_cancel(connection, row, now)
        already, is_listed = cancelled_already(row), installation.listed(row.source) is not None
        if already and (row.status in ENDED or is_listed):
            return Answer(sentence=already, already=True)
        if scheduling.cancel_scheduled(connection, import_id, now, f"cancelled by {who}", by_person=True):
            sentence = f"Import {import_id} was scheduled and is cancelled."
        elif not is_listed and not has_living_worker(connection, installation, row, now):
            if not already:
                transitions.request_cancel(connection, import_id, now, by)
            transitions.end_stalled(connection, row, now, ImportStatus.CANCELLED, f"cancelled by {who}")
            sentence = f"Import {import_id} had no worker and is cancelled. Imported items are kept."
        elif already:
            return Answer(sentence=already, already=True)
        else:
            transitions.request_cancel(connection, import_id, now, by)
            sentence = _next_step(row, has_worker=has_living_worker(connection, installation, row, now))
        if row.cancel_requested_at is None:
            asked = f"Cancellation requested {attribution(by, reason)}."
            events.note(connection, import_id, now, "cancel_requested", asked)
        request = NewRequest(
            source=row.source, kind=RequestKind.CANCEL, import_id=import_id, requested_by=by, reason=reason
        )
        record_fulfilled(connection, request, now, sentence)
        return Answer(sentence=sentence)

    return installation.transact(unit)


def _next_step(row: ImportRow, *, has_worker: bool) -> str:
    if has_worker:
        return f"Import {row.id} is running and ends within two seconds. Imported items are kept."
    # Not ended here: its Dagster run must be reported as failed as well.
    ends = f"the sensor, or `start-scheduled {row.source}`, ends it"
    return f"Import {row.id} has no worker; {ends}. Imported items are kept."


def check_cancel(connection: Connection, row: ImportRow, now: datetime) -> None:
    """Raise InvalidTransition if the import has completed or failed."""
    if row.status in ENDED and row.status is not ImportStatus.CANCELLED:
        raise InvalidTransition(f"import {row.id}", ImportStatus.CANCELLED, row.status)


def cancelled_already(row: ImportRow) -> str | None:
    """Return a sentence if the import is cancelled or its cancellation is requested already; else None."""
    if row.status is ImportStatus.CANCELLED:
        return f"Import {row.id} is already cancelled; nothing changed."
    if row.status is ImportStatus.RUNNING and row.cancel_requested_at is not None:
        at = f"{row.cancel_requested_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"Import {row.id} is being cancelled already, since {at}; nothing changed."
    return None


def end_cancelled(installation: Installation, own: str) -> list[str]:
    """End stalled imports of other sources whose cancellation was requested. Return their dead Dagster runs.

    The sensor of such a source does the same, if it has one. The caller reports the runs as failed.
    """
    now = installation.clock.now()
    with installation.database.read() as connection:
        running = imports.latest(connection, statuses=(ImportStatus.RUNNING,), limit=MAX_RUNNING)
        asked = [row for row in running if row.source != own and row.cancel_requested_at is not None]
        stalled = [row for row in asked if not has_living_worker(connection, installation, row, now)]
    ended = []
    for row in stalled:
        try:
            installation.transact(partial(end_stalled, row=row, now=now, status=ImportStatus.CANCELLED, reason=DEAD))
        except LeaseLost:
            continue  # a process resumed or ended it at this moment
        ended += [row.dagster_run_id] if row.dagster_run_id else []
    return ended
