"""End imports that have no worker, and confirm removed items."""

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
from import_pipeline.rules.status import UNENDED, ImportKind, ImportStatus
from import_pipeline.tracking import events, heartbeats, imports, items, source_items, transitions
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import ImportLease
from import_pipeline.tracking.lists import parents
from import_pipeline.tracking.tables import imports as table
from import_pipeline.wording import plural

#: `finalize` closes a failed item without a worker if its last attempt is older than this.
CLOSE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Finalized:
    """The result of `finalize`."""

    ended: bool
    sentence: str
    already: bool = False  #: True if it was completed before; nothing changed


def finalize(installation: Installation, import_id: int) -> Finalized:
    """Complete a running import that has no worker and no work left; otherwise say what is left.

    Failed items whose last attempt is older than CLOSE_AFTER are closed as failed permanently. A completed import stays
    as it is. Raises ImportNotFound; UsageError if the import is not running or has a worker; LeaseLost if a process
    resumes it meanwhile.
    """
    try:
        return _finalize(installation, import_id)
    except LeaseLost:
        with installation.database.read() as connection:
            row = imports.get(connection, import_id)
        if row.status is ImportStatus.COMPLETED:  # another person completed it meanwhile
            return _completed_already(import_id)
        raise


def _completed_already(import_id: int) -> Finalized:
    sentence = f"Import {import_id} is already completed; nothing changed."
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
            raise LeaseLost(f"another process took import {import_id} over at this moment")
        if closed:
            sentence = f"{plural(closed, 'item has', 'items have')} failed permanently."
            events.note(connection, import_id, now, "items_closed", sentence)
        only_list = row.kind is ImportKind.DISCOVERY
        unfinished = 0 if only_list else items.remaining(connection, import_id).unfinished
        return row, lease, unfinished, row.read_state.complete

    found = installation.transact(unit)
    if found is None:
        return _completed_already(import_id)
    row, lease, unfinished, discovered = found
    if unfinished or not discovered:
        return Finalized(ended=False, sentence=_what_is_left(installation, row, unfinished, discovered=discovered))
    installation.transact(lambda connection: heartbeats.count_gap(connection, row, now))
    model = None if (source := installation.listed(row.source)) is None else source.model
    complete(installation.database, row, lease, now, ACTION, model)
    return Finalized(ended=True, sentence=f"Import {import_id} is completed.")


def _what_is_left(installation: Installation, row: ImportRow, unfinished: int, *, discovered: bool) -> str:
    has_lists = row.kind is not ImportKind.SELECTION or row.slices_count is not None
    unread = "its list was not read to the end" if has_lists else "it has not begun"
    what = f"{plural(unfinished, 'item is', 'items are')} unfinished" if discovered else unread
    if installation.listed(row.source) is not None:
        return f"Import {row.id}: {what}; `run {row.source}` resumes it."
    return f"Import {row.id}: {what}; its source is no longer listed, so `cancel {row.id}` ends it."


def confirm_removed(installation: Installation, import_id: int) -> int:
    """Mark the items that the import's list no longer has, however many; return their number.

    Zero if they are confirmed already; then nothing changes. Raises ImportNotFound; UsageError if the import did not
    read its whole list.
    """
    now = installation.clock.now()

    def unit(connection: Connection) -> int:
        row = imports.get(connection, import_id, locked=True)  # the second of two calls finds it confirmed
        imports.running(connection, row.source, locked=True)  # so that it stores no page of its list meanwhile
        among = parents.removable(row, is_whole=row.incomplete_reason is None)
        is_partial = row.kind is ImportKind.SELECTION or row.options.limit is not None
        is_partial = is_partial or (row.incomplete_reason is not None and among is None)
        if row.status is not ImportStatus.COMPLETED or is_partial:
            raise UsageError(
                f"import {import_id} did not read the whole list, so it cannot show which items were removed"
            )
        if source_items.has_later_import(connection, row):
            raise UsageError(f"import {import_id} is not the latest of {row.source}: expected that one")
        gone = source_items.mark_removed(connection, row, now, 1.0, among)
        if gone.count != (row.facts.gone_unconfirmed or 0):  # an import that was deleted since has seen some
            raise UsageError(
                f"items of {row.source} were seen after import {import_id}: "
                "only a new import can show which items are removed now"
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


#: Imports that are read; a source has at most one running import.
MAX_IMPORTS = 100


REASON = "cancellation was requested, and its worker is dead"


def unlisted_imports(connection: Connection, names: Iterable[str]) -> list[ImportRow]:
    """Return the scheduled and running imports of sources that are not listed, newest first."""
    known = set(names)
    unended = imports.latest(connection, statuses=UNENDED, limit=MAX_IMPORTS)
    return [row for row in unended if row.source not in known]


def end_cancelled(installation: Installation, own: str) -> list[str]:
    """End stalled imports of other sources whose cancellation was requested. Return their dead Dagster runs.

    The sensor of such a source does the same, if it has one. The caller reports the runs as failed.
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
    source = installation.listed(row.source)
    return ImportSource.lease if source is None else source.lease
