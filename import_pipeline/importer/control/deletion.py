"""Delete an ended import, or the item rows of old imports."""

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportNotFound, UsageError
from import_pipeline.importer.control.requests import Answer, check_has_ended, record_fulfilled
from import_pipeline.importer.control.rescheduling import keeps_slot
from import_pipeline.importer.installation import Installation
from import_pipeline.tracking import imports, requests, retention, scheduling
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.requests import NewRequest, RequestKind

#: Item rows deleted in one transaction; between two transactions other readers and writers proceed.
BATCH = 5000
#: Batches that the sensor deletes in one tick.
BATCHES_PER_TICK = 2


def delete(installation: Installation, import_id: int, *, by: str | None = None, reason: str | None = None) -> Answer:
    """Delete an ended import with its item rows and events; the imported rows stay.

    If a person has deleted it before, the answer says so. Raises ImportNotFound; UsageError if the import has not ended
    or its rows are still needed.
    """
    now = installation.clock.now()

    def unit(connection: Connection) -> Answer:
        try:
            row = imports.get(connection, import_id, locked=True)  # waits for a retry that begins now
        except ImportNotFound:
            if not requests.was_deleted(connection, import_id):
                raise
            return Answer(sentence=f"Import {import_id} is already deleted; nothing changed.", already=True)
        check_delete(connection, row, now)
        scheduling.delete_ended(connection, import_id)
        sentence = f"Import {import_id} is deleted."
        request = NewRequest(
            source=row.source, kind=RequestKind.DELETE, import_id=import_id, requested_by=by, reason=reason
        )
        record_fulfilled(connection, request, now, sentence)
        return Answer(sentence=sentence)

    return installation.transact(unit)


def check_delete(connection: Connection, row: ImportRow, now: datetime) -> None:
    """Raise UsageError if the import cannot be deleted now.

    Two kinds of rows are still needed: one that marks a coming slot as spent, and one whose items a retry will read.
    """
    check_has_ended(row)
    if keeps_slot(row, now):
        slot = f"the slot of {row.slot_at:%Y-%m-%d %H:%M} UTC"
        raise UsageError(f"import {row.id} marks {slot} as spent: delete it after that time")
    retry_id = scheduling.open_retry_of(connection, row.id)
    if retry_id is not None:
        raise UsageError(
            f"import {retry_id} retries items of import {row.id}: wait until it has ended, then delete import {row.id}"
        )


def prune(
    installation: Installation,
    days: float,
    batch: int = BATCH,
    *,
    source: str | None = None,
    most_batches: int | None = None,
) -> int:
    """Delete item rows of imports that ended over `days` days ago; return the number of rows.

    Rows of failed items stay, and so do all rows that an unfinished retry needs (see `kept_rows`). Import rows, their
    counters, events and imported rows stay. Each batch is its own transaction, so that no reader or writer waits long.
    `most_batches` limits this call; the next one continues.
    """
    now = installation.clock.now()
    sources = None if source is None else [source]
    dropped, batches = 0, 0
    while most_batches is None or batches < most_batches:
        with installation.database.read() as connection:
            import_id = retention.next_import(connection, now - timedelta(days=days), sources)
        if import_id is None:
            break
        dropped += installation.transact(partial(_drop, import_id=import_id, batch=batch, now=now))
        batches += 1
    return dropped


def _drop(connection: Connection, import_id: int, batch: int, now: datetime) -> int:
    if retention.is_needed(connection, import_id):  # a retry may have been requested since the read
        return 0
    some = retention.drop_batch(connection, import_id, batch)
    if some < batch:
        retention.conclude(connection, import_id, now)
    return some


def kept_rows(installation: Installation, days: float) -> list[int]:
    """Return the old imports that `prune` skips, since a retry still needs their rows."""
    with installation.database.read() as connection:
        return retention.kept(connection, installation.clock.now() - timedelta(days=days))


def sources_with_imports(installation: Installation) -> list[str]:
    """Return the names of all sources that ever had an import, whether the settings list them or not."""
    with installation.database.read() as connection:
        return retention.sources(connection)


def prune_by_age(installation: Installation, source: ImportSource) -> int:
    """Prune as far as the source's `prune_days` says, at most BATCHES_PER_TICK; return the number of rows."""
    if source.prune_days is None:
        return 0
    return prune(installation, source.prune_days, source=source.name, most_batches=BATCHES_PER_TICK)
