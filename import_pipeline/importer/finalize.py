"""Ending an import: completed only where nothing is left undone, else failed or cancelled with its reason."""

from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.errors import ImportFailed
from import_pipeline.rules.progress import incomplete_reason
from import_pipeline.rules.status import ImportKind, ImportStatus, said_of_end
from import_pipeline.tracking import events, imports, items, leases, versions
from import_pipeline.tracking.database import Database
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.retrying import Patience

#: A larger share of a source's items does not vanish at once without a person's word.
MOST_GONE = 0.2


def complete(database: Database, row: ImportRow, lease: Lease, now: datetime, patience: Patience | None = None) -> None:
    """End the import as completed, with the reason where it saw less than the list has.

    Raises ImportFailed where items are unfinished that should not be, and LeaseLost.
    """
    database.transact(lambda connection: _complete(connection, row, lease, now), patience)


def _complete(connection: Connection, row: ImportRow, lease: Lease, now: datetime) -> None:
    left = items.remaining(connection, row.id)
    if row.kind is not ImportKind.DISCOVERY and left.unfinished:
        raise ImportFailed(f"{left.unfinished} items are unfinished although no worker is left to do them")
    current = imports.get(connection, row.id)
    checkpoint = current.checkpoint or {}
    reason = None
    if row.kind is not ImportKind.SELECTION:
        reason = incomplete_reason(items.count(connection, row.id), checkpoint.get("total"), checkpoint.get("stopped"))
    if row.kind is not ImportKind.SELECTION and reason is None and "limit" not in row.metadata:
        _mark_gone(connection, current, lease, now)
    imports.end(connection, lease, now, ImportStatus.COMPLETED, incomplete_reason=reason)
    sentence = (
        f"Completed: {current.items_imported_count} imported, {current.items_unchanged_count} unchanged, "
        f"{current.items_failed_count} failed."
    )
    events.note(connection, row.id, now, "import_completed", sentence)
    if reason:
        events.note(connection, row.id, now, "import_incomplete", f"Incomplete: {reason}.")


def _mark_gone(connection: Connection, row: ImportRow, lease: Lease, now: datetime) -> None:
    """Mark the items that the list no longer has; their rows stay."""
    gone = versions.mark_gone(connection, row, now, MOST_GONE)
    if not gone.count:
        return
    sentence = f"{gone.count} items are no longer in the list; they are marked as gone, their rows stay."
    if not gone.marked:
        sentence = (
            f"{gone.count} items, more than {MOST_GONE:.0%} of all, are no longer in the list. They are not marked as "
            f"gone: if that is right, say so with `import-pipeline finalize {row.id} --mark-gone`."
        )
    told = {"gone" if gone.marked else "gone_unconfirmed": gone.count}
    leases.write(connection, lease, now, metadata=dict(row.metadata) | told)
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
        imports.end(connection, lease, now, status, failure_reason=reason)
        events.note(connection, lease.import_id, now, f"import_{status}", said_of_end(reason, status))

    database.transact(unit, patience)
