"""Ending an import: completed only where nothing is left undone, else failed or cancelled with its reason."""

from datetime import datetime

from import_pipeline.errors import ImportFailed
from import_pipeline.rules.progress import incomplete_reason
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking import events, imports, items
from import_pipeline.tracking.database import Database
from import_pipeline.tracking.imports import ImportRow, Lease


def complete(database: Database, row: ImportRow, lease: Lease, now: datetime) -> None:
    """End the import as completed, with the reason where it saw less than the list has.

    Raises ImportFailed where items are unfinished that should not be, and LeaseLost.
    """
    with database.write() as connection:
        left = items.remaining(connection, row.id)
        if row.kind is not ImportKind.DISCOVERY and left.unfinished:
            raise ImportFailed(f"{left.unfinished} items are unfinished although no worker is left to do them")
        current = imports.get(connection, row.id)
        checkpoint = current.checkpoint or {}
        reason = None
        if row.kind is not ImportKind.SELECTION:
            reason = incomplete_reason(
                items.count(connection, row.id), checkpoint.get("total"), checkpoint.get("stopped")
            )
        imports.end(connection, lease, now, ImportStatus.COMPLETED, incomplete_reason=reason)
        sentence = (
            f"Completed: {current.items_imported_count} imported, {current.items_unchanged_count} unchanged, "
            f"{current.items_failed_count} failed."
        )
        events.note(
            connection, row.id, now, "import_completed", sentence + (f" Incomplete: {reason}." if reason else "")
        )


def end(database: Database, lease: Lease, now: datetime, status: ImportStatus, reason: str) -> None:
    """End the import as failed or cancelled; its unfinished items stay pending. Raises LeaseLost."""
    with database.write() as connection:
        imports.end(connection, lease, now, status, failure_reason=reason)
        events.note(connection, lease.import_id, now, f"import_{status}", f"{status.capitalize()}: {reason}.")
