"""Keeping house: ending imports that nobody works on, and dropping old item rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import LeaseLost, UsageError
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.finish import complete
from import_pipeline.importer.lifecycle.workers import worker_states
from import_pipeline.importer.runtime.database_wait import ACTION
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking import events, heartbeats, imports, items, source_items, transitions
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import ImportLease
from import_pipeline.tracking.tables import imports as table
from import_pipeline.wording import plural

#: A failed item that no worker holds is closed by `finalize` when its last try is that long ago.
CLOSE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Finalized:
    """What `finalize` found and did, in a sentence."""

    ended: bool
    sentence: str
    already: bool = False  #: it was completed before, and nothing was changed


def finalize(installation: Installation, import_id: int) -> Finalized:
    """End a running import that has no worker and nothing left to do; say what is left otherwise.

    Failed items whose last try is over five minutes old are closed as failed for good. A completed import stays as it
    is. Raises ImportNotFound, UsageError for an import that does not run or that a process works on, and LeaseLost if a
    process begins to.
    """
    try:
        return _finalize(installation, import_id)
    except LeaseLost:
        with installation.database.read() as connection:
            row = imports.get(connection, import_id)
        if row.status is ImportStatus.COMPLETED:  # by another person, at this moment
            return _completed_already(import_id)
        raise


def _completed_already(import_id: int) -> Finalized:
    sentence = f"Import {import_id} is completed already: nothing was changed."
    return Finalized(ended=True, already=True, sentence=sentence)


def _finalize(installation: Installation, import_id: int) -> Finalized:
    now = installation.clock.now()

    def unit(connection: Connection) -> tuple[ImportRow, ImportLease, int, bool] | None:
        row = imports.get(connection, import_id, locked=True)
        if row.status is ImportStatus.COMPLETED:
            return None
        if row.status is not ImportStatus.RUNNING:
            raise UsageError(f"import {import_id} is {row.status}: expected a running one")
        lease_seconds = lease_seconds_of(installation, row)
        if any(worker_states(connection, import_id, lease_seconds, now).values()):
            raise UsageError(f"import {import_id} has a living worker, which ends it itself")
        lease = ImportLease(import_id=row.id, fence=row.fence, worker="", seconds=lease_seconds)
        closed = items.close_failed(connection, import_id, now - CLOSE_AFTER)
        counted = lease.guard().values(  # without a heartbeat: this is no worker
            finalize_attempts=table.c.finalize_attempts + 1,
            last_finalize_attempt_at=now,
            items_failed_count=table.c.items_failed_count + closed,
            metadata=heartbeats.stalled_metadata(connection, row),
            updated_at=now,
        )
        if connection.execute(counted).rowcount != 1:
            raise LeaseLost(f"import {import_id} was taken over by another process at this moment")
        if closed:
            events.note(
                connection,
                import_id,
                now,
                "items_closed",
                f"{plural(closed, 'item has', 'items have')} failed for good.",
            )
        unfinished = items.remaining(connection, import_id).unfinished
        if row.kind is ImportKind.DISCOVERY:
            unfinished = 0  # the list was all that it wanted
        return row, lease, unfinished, bool((row.checkpoint or {}).get("complete"))

    found = installation.transact(unit)
    if found is None:
        return _completed_already(import_id)
    row, lease, unfinished, discovered = found
    if unfinished or not discovered:
        unread = "it has not begun" if row.kind is ImportKind.SELECTION else "its list was not read to the end"
        what = f"{plural(unfinished, 'item is', 'items are')} unfinished" if discovered else unread
        is_listed = any(each.name == row.source for each in installation.sources)
        rest = f"`run {row.source}` goes on with it"
        if not is_listed:
            rest = f"its source is not listed any more, so `cancel {import_id}` ends it"
        return Finalized(ended=False, sentence=f"Import {import_id}: {what}; {rest}.")
    installation.transact(lambda connection: heartbeats.count_gap(connection, row, now))
    model = next((each.model for each in installation.sources if each.name == row.source), None)
    complete(installation.database, row, lease, now, ACTION, model)
    return Finalized(ended=True, sentence=f"Import {import_id} is completed.")


def confirm_removed(installation: Installation, import_id: int) -> int:
    """Mark what the import's list no longer had, however much it is; returns how many items.

    Zero if another person has confirmed it before; then nothing is changed. Raises ImportNotFound, and UsageError for
    an import that did not see its whole list.
    """
    now = installation.clock.now()

    def unit(connection: Connection) -> int:
        row = imports.get(connection, import_id, locked=True)  # the second of two finds it confirmed
        imports.running(connection, row.source, locked=True)  # it stores no page of its list meanwhile
        is_partial = row.kind is ImportKind.SELECTION or row.incomplete_reason or row.options.limit is not None
        if row.status is not ImportStatus.COMPLETED or is_partial:
            raise UsageError(f"import {import_id} did not see its whole list: nothing can be told to be gone by it")
        if source_items.seen_since(connection, row):
            raise UsageError(f"import {import_id} is not the latest of {row.source}: expected that one")
        gone = source_items.mark_gone(connection, row, now, most_share=1.0)
        if gone.count != (row.facts.gone_unconfirmed or 0):  # by an import that was deleted since
            raise UsageError(
                f"items of {row.source} were met after import {import_id}: what is gone now, only a new import tells"
            )
        if not gone.count:
            return 0
        metadata = row.metadata_with(gone=gone.count, gone_unconfirmed=0)
        connection.execute(table.update().where(table.c.id == import_id).values(metadata=metadata, updated_at=now))
        events.note(
            connection,
            import_id,
            now,
            "items_gone",
            f"{plural(gone.count, 'item is', 'items are')} marked as gone, as confirmed.",
        )
        return gone.count

    return installation.transact(unit)


#: Imports that are looked at; a source has one running import at most.
MAX_IMPORTS = 100


REASON = "it was to be cancelled, and its worker is gone"


def unlisted_imports(connection: Connection, names: Iterable[str]) -> list[ImportRow]:
    """The scheduled and running imports of all other sources, the newest first."""
    known = set(names)
    unended = imports.latest(connection, statuses=(ImportStatus.SCHEDULED, ImportStatus.RUNNING), limit=MAX_IMPORTS)
    return [row for row in unended if row.source not in known]


def end_cancelled(installation: Installation, own: str) -> list[str]:
    """End the imports of other sources that a person cancelled and that have no worker.

    Their own sensor does so as well, if there is one. Returns the Dagster runs to report as failed.
    """
    now = installation.clock.now()
    with installation.database.read() as connection:
        running = imports.latest(connection, statuses=(ImportStatus.RUNNING,), limit=MAX_IMPORTS)
        asked = [row for row in running if row.source != own and row.cancel_requested_at is not None]
        stalled = [
            row
            for row in asked
            if not any(worker_states(connection, row.id, lease_seconds_of(installation, row), now).values())
        ]
    ended = []
    for row in stalled:
        try:
            installation.transact(partial(_end, row=row, now=now))
        except LeaseLost:
            continue  # a process resumed or ended it at this moment
        ended += [row.dagster_run_id] if row.dagster_run_id else []
    return ended


def _end(connection: Connection, row: ImportRow, now: datetime) -> None:
    transitions.end_stalled(connection, row, now, ImportStatus.CANCELLED, REASON)
    events.note(connection, row.id, now, "import_cancelled", f"Cancelled: {REASON}.")


def lease_seconds_of(installation: Installation, row: ImportRow) -> float:
    """Return the lease of the import's source in seconds; the default if the source is not listed."""
    return next((each.lease for each in installation.sources if each.name == row.source), ImportSource.lease)
