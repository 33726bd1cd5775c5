"""The items of a parent source, whose external ids are the keys of another source's slices."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from import_pipeline.rules.lists.read_state import ReadState
from import_pipeline.rules.status import UNENDED, ImportKind, ImportStatus, ItemStatus
from import_pipeline.tracking import imports as import_rows
from import_pipeline.tracking import source_items as items_of_source
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists.list_pages import SLICE
from import_pipeline.tracking.lists.slice_parts import is_split
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.lists.slice_table import was_read_whole
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import imports, source_items

#: Completed imports that are searched for one that read all slices.
IMPORTS_SEARCHED = 50


def was_imported(connection: Connection, parent: str) -> bool:
    """Return True if the source has items, or an import that read its list to the end."""
    if items_of_source.has_items(connection, parent):
        return True
    ended = (imports.c.source == parent, imports.c.status == ImportStatus.COMPLETED)
    listed = select(imports.c.id).where(
        *ended, imports.c.kind != ImportKind.SELECTION, imports.c.checkpoint.is_not(None)
    )
    return connection.scalar(listed.limit(1)) is not None


def count(connection: Connection, parent: str, changed: ColumnElement[bool] | None = None) -> int:
    """Return the number of the parent's items that are not gone; with `changed`, of those that meet it."""
    present = [source_items.c.source == parent, source_items.c.gone_at.is_(None)]
    present += [] if changed is None else [changed]
    return connection.scalar(select(func.count()).where(*present)) or 0


def reference(connection: Connection, source: str) -> ImportRow | None:
    """Return the latest import of the source that read its slices and fetched their items; None without one."""
    ended = import_rows.latest(connection, source=source, statuses=(ImportStatus.COMPLETED,), limit=IMPORTS_SEARCHED)
    partial = {ImportKind.SELECTION, ImportKind.DISCOVERY}
    for each in ended:
        if each.kind not in partial and each.options.limit is None and each.read_state.sliced:
            return each
    return None


def keys(
    connection: Connection,
    parent: str,
    after: str | None,
    size: int,
    changed: ColumnElement[bool] | None = None,
) -> Sequence[str]:
    """Return up to `size` ids of the parent's items that are not gone, in their order, those after `after`."""
    found = select(source_items.c.external_id).where(source_items.c.source == parent, source_items.c.gone_at.is_(None))
    if after is not None:
        found = found.where(source_items.c.external_id > after)
    if changed is not None:
        found = found.where(changed)
    return connection.scalars(found.order_by(source_items.c.external_id).limit(size)).all()


def imports_of(connection: Connection, parent: str) -> tuple[int, list[int]]:
    """Return the id of the source's latest import, and the ids of those that have not ended."""
    latest = connection.scalar(select(func.max(imports.c.id)).where(imports.c.source == parent)) or 0
    unfinished = select(imports.c.id).where(imports.c.source == parent, imports.c.status.in_(UNENDED))
    return latest, list(connection.scalars(unfinished))


def changed_or_owed(connection: Connection, source: str, reference_id: int) -> ColumnElement[bool]:
    """Return the condition for the parent's items that changed since, or whose slice the reference did not finish.

    An item has changed since if an import changed it that had not ended when the reference began: ids order imports
    better than the clocks of workers. A slice was not finished if it or one of its items failed.
    """
    state = ReadState.read(connection.scalar(select(imports.c.checkpoint).where(imports.c.id == reference_id)))
    changed_by = source_items.c.changed_import_id
    later = or_(changed_by > state.parent_until, changed_by.in_(state.parent_open))
    unread = select(slices.c.key).where(slices.c.import_id == reference_id, ~was_read_whole())
    failed = and_(statuses.c.import_id == reference_id, statuses.c.status == ItemStatus.FAILED)
    items = source_items.alias("child_items")
    with_failure = (
        select(items.c.slice)
        .join(statuses, statuses.c.external_id == items.c.external_id)
        .where(items.c.source == source, failed, items.c.slice.is_not(None))
    )
    unreadable = select(statuses.c.metadata[SLICE].as_string()).where(failed, statuses.c.metadata[SLICE].is_not(None))
    owed = [source_items.c.external_id.in_(some) for some in (unread, with_failure, unreadable)]
    return or_(later, *owed)


def removable(row: ImportRow, *, is_whole: bool) -> ColumnElement[bool] | None:
    """Return the condition for items that an import with slices proves to be removed: those of slices it read whole.

    Also those of a parent's item that is gone; and if all of the source's slices were read whole (`is_whole`), those
    that several slices had listed. Return None for an import with one list, which proves it for all items.
    """
    state = row.read_state
    if not state.sliced:
        return None
    is_whole = is_whole and state.reference is None
    read = select(slices.c.key).where(slices.c.import_id == row.id, was_read_whole(), ~is_split())
    proofs = [source_items.c.slice.in_(read)]
    if state.parent is not None:
        parents = source_items.alias("parents")
        gone = select(parents.c.external_id).where(parents.c.source == state.parent, parents.c.gone_at.is_not(None))
        proofs.append(source_items.c.slice.in_(gone))
    if is_whole:
        proofs.append(source_items.c.slice.is_(None))
    return or_(*proofs)
