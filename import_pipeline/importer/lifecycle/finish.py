"""End an import: as completed only if no item is unfinished, else as failed or cancelled with a reason."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import StatementError

from import_pipeline.errors import ImportFailed
from import_pipeline.importer.bookmarks.moving import settle_bookmark
from import_pipeline.rules.status import ImportKind, ImportStatus, end_sentence
from import_pipeline.tracking import events, imports, items, leases, source_items, transitions
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.retrying import Patience
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.lists import parents
from import_pipeline.tracking.user_rows.generations import Deleted, delete_unlisted
from import_pipeline.tracking.user_rows.row_writing import refusal_of
from import_pipeline.wording import plural

#: A larger share of a source's items is not marked as removed without a person's confirmation.
MOST_GONE = 0.2
#: The kinds that read the whole list, so that they show what it no longer has.
LISTING_ALL = (ImportKind.FULL, ImportKind.DISCOVERY)


def complete(
    database: Database,
    row: ImportRow,
    lease: Lease,
    now: datetime,
    patience: Patience | None = None,
    model: type[Any] | None = None,
) -> None:
    """End the import as completed, with a reason if it is incomplete (it saw less than the list has).

    A fresh import deletes from the model's table the rows that it has not met, in the same transaction. Raises
    ImportFailed if items are unfinished although no worker is left, and LeaseLost.
    """
    try:
        database.transact(lambda connection: _complete(connection, row, lease, now, model), patience)
    except StatementError as error:
        # A constraint checked at the commit: the rows to keep cannot be found one by one, so all are kept.
        refusal = None if model is None else refusal_of(error, model)
        if refusal is None:
            raise
        kept = refusal.reason
        database.transact(lambda connection: _complete(connection, row, lease, now, None, kept), patience)


def _complete(
    connection: Connection,
    row: ImportRow,
    lease: Lease,
    now: datetime,
    model: type[Any] | None,
    kept: str = "its source is not listed",
) -> None:
    left = items.remaining(connection, row.id)
    if row.kind is not ImportKind.DISCOVERY and left.unfinished:
        raise ImportFailed(f"{left.unfinished} items are unfinished although no worker is left for them")
    current = imports.get(connection, row.id)
    is_sliced, reason = current.read_state.sliced, None
    if row.kind is not ImportKind.SELECTION or is_sliced:  # a retry of slices reads lists, too
        reason = current.read_state.incomplete_reason(items.count(connection, row.id))
    current = settle_bookmark(connection, current, lease, now, reason=reason)
    current = _note_deleted(connection, current, lease, now)
    if row.kind in LISTING_ALL and (reason is None or is_sliced) and row.options.limit is None:
        if row.options.fresh and reason is None:
            _delete_unmet(connection, current, lease, now, model, kept)
        _mark_removed(connection, current, lease, now, is_whole=reason is None)
    transitions.end(connection, lease, now, ImportStatus.COMPLETED, incomplete_reason=reason)
    sentence = (
        f"Completed: {current.items_imported_count} imported, {current.items_unchanged_count} unchanged, "
        f"{current.items_failed_count} failed{_left_out(current)}."
    )
    events.note(connection, row.id, now, "import_completed", sentence)
    if reason:
        events.note(connection, row.id, now, "import_incomplete", f"Incomplete: {reason}.")


def _delete_unmet(
    connection: Connection, row: ImportRow, lease: Lease, now: datetime, model: type[Any] | None, kept: str
) -> None:
    """Delete the rows that a fresh import has not met, and record how many are deleted and kept."""
    deleted = Deleted(count=0, reason=kept)
    if model is not None:
        deleted = delete_unlisted(connection, row, lease, model, now)
    sentence = f"Deleted {plural(deleted.count, 'row')} that the list no longer has, as requested."
    if deleted.reason is not None:
        rest = f"{plural(deleted.kept, 'row')} kept" if deleted.kept else "No more rows are deleted"
        sentence = f"{sentence} {rest}: {deleted.reason}."
    events.note(connection, row.id, now, "rows_forgotten", sentence, rows=deleted.count, kept=deleted.kept)


def _left_out(row: ImportRow) -> str:
    """Return `, 2 skipped, 1 gone`; empty if there are no such items."""
    counts = ((row.items_skipped_count, "skipped"), (row.items_gone_count, "gone"))
    return "".join(f", {count} {word}" for count, word in counts if count)


def _note_deleted(connection: Connection, row: ImportRow, lease: Lease, now: datetime) -> ImportRow:
    """Record how many items tombstones of the list have marked as gone; return the changed row."""
    deleted = row.read_state.deleted
    if not deleted:
        return row
    metadata = row.metadata_with(gone=deleted)
    leases.write(connection, lease, now, metadata=metadata)
    sentence = f"{plural(deleted, 'item is', 'items are')} deleted, as the list says: marked as gone, their rows stay."
    events.note(connection, row.id, now, "items_gone", sentence)
    return replace(row, metadata=metadata)


def _mark_removed(connection: Connection, row: ImportRow, lease: Lease, now: datetime, *, is_whole: bool) -> None:
    """Mark the items that the list no longer has as gone; their rows stay. `is_whole`: each slice was read whole."""
    gone = source_items.mark_removed(connection, row, now, MOST_GONE, parents.removable(row, is_whole=is_whole))
    if not gone.count:
        return
    sentence = f"{gone.count} items are no longer in the list; they are marked as gone, their rows stay."
    if not gone.marked:
        sentence = (
            f"{gone.count} items, more than {MOST_GONE:.0%} of all, are no longer in the list. They are not marked as "
            f"gone. If that is right, confirm it: `import-pipeline finalize {row.id} --mark-gone`."
        )
    name = "gone" if gone.marked else "gone_unconfirmed"
    counts = {name: gone.count + (getattr(row.facts, name) or 0)}
    leases.write(connection, lease, now, metadata=row.metadata_with(**counts))
    events.note(connection, row.id, now, "items_gone" if gone.marked else "items_gone_unconfirmed", sentence)


def end(
    database: Database,
    lease: Lease,
    now: datetime,
    status: ImportStatus,
    reason: str,
    patience: Patience | None = None,
) -> None:
    """End the import as failed or cancelled; its unfinished items stay pending. Raises LeaseLost."""

    def unit(connection: Connection) -> None:
        transitions.end(connection, lease, now, status, failure_reason=reason)
        events.note(connection, lease.import_id, now, f"import_{status}", end_sentence(reason, status))

    database.transact(unit, patience)
