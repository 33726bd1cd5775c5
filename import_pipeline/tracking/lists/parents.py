"""The items of a parent source, whose external ids are the keys of another source's slices."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from import_pipeline.rules.status import ImportKind, ImportStatus, ItemStatus
from import_pipeline.tracking import imports as import_rows
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists.list_pages import SLICE
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import imports, source_items

#: Completed imports that are searched for one that read all slices.
IMPORTS_SEARCHED = 50


def was_imported(connection: Connection, parent: str) -> bool:
    """Return True if the source has items, or an import that read its list to the end."""
    if connection.scalar(select(source_items.c.source).where(source_items.c.source == parent).limit(1)) is not None:
        return True
    ended = (imports.c.source == parent, imports.c.status == ImportStatus.COMPLETED)
    listed = select(imports.c.id).where(
        *ended, imports.c.kind != ImportKind.SELECTION, imports.c.checkpoint.is_not(None)
    )
    return connection.scalar(listed.limit(1)) is not None


def count(connection: Connection, parent: str) -> int:
    """Return the number of the parent's items that are not gone."""
    present = (source_items.c.source == parent, source_items.c.gone_at.is_(None))
    return connection.scalar(select(func.count()).where(*present)) or 0


def reference(connection: Connection, row: ImportRow) -> ImportRow | None:
    """Return the latest import of the source that read its slices and fetched their items; None without one."""
    ended = import_rows.latest(
        connection, source=row.source, statuses=(ImportStatus.COMPLETED,), limit=IMPORTS_SEARCHED
    )
    partial = {ImportKind.SELECTION, ImportKind.DISCOVERY}
    for each in ended:
        if each.kind not in partial and each.options.limit is None and "sliced" in (each.checkpoint or {}):
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


def changed_or_owed(row: ImportRow, since: datetime, reference_id: int) -> ColumnElement[bool]:
    """Return the condition for the parent's items that changed since, or whose slice the reference did not finish.

    A slice was not finished if it or one of its items failed.
    """
    unread = select(slices.c.key).where(
        slices.c.import_id == reference_id,
        or_(slices.c.status != ItemStatus.COMPLETED, slices.c.incomplete_reason.is_not(None)),
    )
    failed = and_(statuses.c.import_id == reference_id, statuses.c.status == ItemStatus.FAILED)
    items = source_items.alias("child_items")
    with_failure = (
        select(items.c.slice)
        .join(statuses, statuses.c.external_id == items.c.external_id)
        .where(items.c.source == row.source, failed, items.c.slice.is_not(None))
    )
    unreadable = select(statuses.c.metadata[SLICE].as_string()).where(failed, statuses.c.metadata[SLICE].is_not(None))
    owed = [source_items.c.external_id.in_(some) for some in (unread, with_failure, unreadable)]
    return or_(source_items.c.changed_at >= since, *owed)


def removable(row: ImportRow, *, is_whole: bool) -> ColumnElement[bool] | None:
    """Return the condition for items that an import with slices proves to be removed: those of slices it read whole.

    Also those of a parent's item that is gone; and if all of the source's slices were read whole (`is_whole`), those
    that several slices had listed. Return None for an import with one list, which proves it for all items.
    """
    state = row.checkpoint or {}
    if "sliced" not in state:
        return None
    parent, is_whole = state.get("parent"), is_whole and state.get("since") is None
    read = select(slices.c.key).where(
        slices.c.import_id == row.id,
        slices.c.status == ItemStatus.COMPLETED,
        slices.c.incomplete_reason.is_(None),
    )
    proofs = [source_items.c.slice.in_(read)]
    if parent is not None:
        parents = source_items.alias("parents")
        gone = select(parents.c.external_id).where(parents.c.source == parent, parents.c.gone_at.is_not(None))
        proofs.append(source_items.c.slice.in_(gone))
    if is_whole:
        proofs.append(source_items.c.slice.is_(None))
    return or_(*proofs)
