"""The items and slices that an ended import left undone, and that no later import has read or imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, literal, select

from import_pipeline.rules.status import ImportKind, ImportStatus, ItemStatus
from import_pipeline.tracking import imports as import_rows
from import_pipeline.tracking import items
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease, write
from import_pipeline.tracking.lists.list_pages import SLICE
from import_pipeline.tracking.lists.owed_items import HELD
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.lists.slice_table import was_read_whole
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import imports
from import_pipeline.wording import plural

#: Most slices that are compared with later imports: displays ask often.
MOST_COMPARED = 1_000


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """The numbers of items and slices that a retry takes over."""

    items: int = 0
    slices: int = 0

    def __bool__(self) -> bool:
        return bool(self.items or self.slices)

    @property
    def in_words(self) -> str:
        """The numbers, such as `3 items and 1 slice`."""
        parts = [plural(self.items, "item")] if self.items or not self.slices else []
        return " and ".join([*parts, *([plural(self.slices, "slice")] if self.slices else [])])


def left(connection: Connection, row: ImportRow) -> Leftovers:
    """Count what the import left. An item that only the list has is fetched with its slice.

    Above MOST_COMPARED, slices that were read later count, too.
    """
    unread = _unread(row)
    if unread is None:
        return Leftovers(items=items.unfinished(connection, row.id))
    number = connection.scalar(select(func.count()).select_from(unread.subquery())) or 0
    if 0 < number <= MOST_COMPARED:
        still = _not_read_since(row, unread).subquery()
        number = connection.scalar(select(func.count()).select_from(still)) or 0
    held = select(func.count()).select_from(statuses).where(items.left_by(row.id), _held())
    return Leftovers(
        items=items.unfinished(connection, row.id) - (connection.scalar(held) or 0),
        slices=number,
    )


def take_over(
    connection: Connection, row: ImportRow, lease: Lease, now: datetime, sliced: Mapping[str, Any] | None
) -> None:
    """Add what the retried import left: its items as pending ones, and its slices to be read. Raises LeaseLost.

    `sliced`: the checkpoint before the slices; None if the source has one list.
    """
    assert row.retry_of is not None  # noqa: S101 - of a retry
    retried = import_rows.get(connection, row.retry_of)
    unread, number = None if sliced is None else _unread(retried), 0
    if unread is not None:
        keys = _not_read_since(retried, unread).subquery()
        chosen = select(literal(row.id), keys.c.key).order_by(keys.c.key)
        number = connection.execute(insert(slices).from_select(["import_id", "key"], chosen)).rowcount
    undone = select(
        literal(row.id),
        statuses.c.importable_type,
        statuses.c.importable_id,
        statuses.c.external_id,
        statuses.c.metadata,
    ).where(items.left_by(retried.id), *([] if unread is None else [~_held()]))
    columns = ["import_id", "importable_type", "importable_id", "external_id", "metadata"]
    connection.execute(insert(statuses).from_select(columns, undone))
    if number and sliced is not None:
        write(connection, lease, now, checkpoint=dict(sliced), slices_count=number)
    else:
        write(connection, lease, now, items_count=items.count(connection, row.id), checkpoint={"complete": True})


def _held() -> ColumnElement[bool]:
    """Return the condition for item rows that only the list of a slice can bring."""
    return and_(statuses.c.metadata[HELD].as_boolean().is_(True), statuses.c.metadata[SLICE].as_string().is_not(None))


def _unread(row: ImportRow) -> Select[Any] | None:
    """Return the statement for the keys of the slices that the import did not read whole, or not each item of them.

    None for an import that has none: with a limit, it was not to read them.
    """
    if row.slices_count is None or row.options.limit is not None:
        return None
    unread = select(slices.c.key.label("key")).where(slices.c.import_id == row.id, ~was_read_whole())
    failed = (statuses.c.import_id == row.id, statuses.c.status == ItemStatus.FAILED, _held())
    of_items = select(statuses.c.metadata[SLICE].as_string().label("key")).where(*failed)
    keys = unread.union(of_items).subquery()
    return select(keys.c.key)


def _not_read_since(row: ImportRow, unread: Select[Any]) -> Select[Any]:
    """Return the statement for those of the keys that no later import has read as far as this one was to.

    The ids of slices order imports: an import of a slot has its id long before its start, and clocks are set. One that
    fetches all details again is covered by no other import.
    """
    keys = unread.subquery()
    if row.options.fetches_all:
        return select(keys.c.key)
    own, later = slices.alias("own"), slices.alias("later")
    last = select(func.max(own.c.id)).where(own.c.import_id == row.id).scalar_subquery()
    kinds = [ImportKind.FULL, ImportKind.SELECTION]
    reads_as_far: list[ColumnElement[bool]] = [imports.c.metadata["since"].as_string().is_(None)]
    if row.facts.since is not None:
        kinds, reads_as_far = [*kinds, ImportKind.INCREMENTAL], []
    read = (
        select(later.c.id)
        .join(imports, imports.c.id == later.c.import_id)
        .where(
            imports.c.source == row.source,
            imports.c.status == ImportStatus.COMPLETED,
            imports.c.kind.in_(kinds),
            imports.c.id != row.id,
            later.c.key == keys.c.key,
            later.c.id > last,
            was_read_whole(later),
            *reads_as_far,
        )
        .exists()
    )
    return select(keys.c.key).where(~read)
