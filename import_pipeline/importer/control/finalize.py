"""Complete an import that has no worker and no work left, and confirm removed items."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from import_pipeline.errors import LeaseLost, UsageError
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.finish import complete
from import_pipeline.importer.lifecycle.workers import has_living_worker
from import_pipeline.importer.runtime.database_wait import ACTION
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking import events, heartbeats, imports, items, source_items, transitions
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import lease_without_worker
from import_pipeline.tracking.lists import parents
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

    def unit(connection: Connection) -> tuple[ImportRow, int] | None:
        row = imports.get(connection, import_id, locked=True)
        if row.status is ImportStatus.COMPLETED:
            return None
        if row.status is not ImportStatus.RUNNING:
            raise UsageError(f"import {import_id} is {row.status}: expected a running one")
        if has_living_worker(connection, installation, row, now):
            raise UsageError(f"import {import_id} has a living worker, which ends it itself")
        closed = items.close_failed(connection, import_id, now - CLOSE_AFTER)
        transitions.count_finalize_attempt(connection, row, closed, now)
        if closed:
            sentence = f"{plural(closed, 'item has', 'items have')} failed permanently."
            events.note(connection, import_id, now, "items_closed", sentence)
        only_list = row.kind is ImportKind.DISCOVERY
        return row, 0 if only_list else items.remaining(connection, import_id).unfinished

    found = installation.transact(unit)
    if found is None:
        return _completed_already(import_id)
    row, unfinished = found
    if unfinished or not row.read_state.complete:
        return Finalized(ended=False, sentence=_what_is_left(installation, row, unfinished))
    installation.transact(lambda connection: heartbeats.count_gap(connection, row, now))
    model = None if (source := installation.listed(row.source)) is None else source.model
    complete(installation.database, row, lease_without_worker(row.id, row.fence), now, ACTION, model)
    return Finalized(ended=True, sentence=f"Import {import_id} is completed.")


def _what_is_left(installation: Installation, row: ImportRow, unfinished: int) -> str:
    has_lists = row.kind is not ImportKind.SELECTION or row.slices_count is not None
    unread = "its list was not read to the end" if has_lists else "it has not begun"
    what = f"{plural(unfinished, 'item is', 'items are')} unfinished" if row.read_state.complete else unread
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
        imports.change(connection, import_id, now, metadata=row.metadata_with(gone=gone.count, gone_unconfirmed=0))
        events.note(
            connection,
            import_id,
            now,
            "items_gone",
            f"{plural(gone.count, 'item is', 'items are')} marked as gone, as confirmed.",
        )
        return gone.count

    return installation.transact(unit)
