"""Items of a source across imports: stored versions, ETags, item numbers, and removal from the list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, null, or_, select, update

from import_pipeline.rules.lists.read_state import ReadState
from import_pipeline.rules.status import ImportKind, ItemStatus
from import_pipeline.tracking.database.dialect import chunks, insert_for, without_nulls
from import_pipeline.tracking.events import STARTED
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import import_events, imports, source_items
from import_pipeline.tracking.tables import import_item_statuses as statuses


@dataclass(frozen=True, kw_only=True)
class SeenItem:
    """An item that an import discovered. It has a version and an ETag only if details of that version are stored."""

    external_id: str
    version: str | None = None
    etag: str | None = None
    slice: str | None = None  #: the slice whose list has it
    is_changed: bool = True  #: False if the list has it with the stored version


@dataclass(frozen=True, kw_only=True)
class Removed:
    """Items that a complete list no longer has."""

    count: int
    marked: bool  #: False if they are so many that a person must confirm it


def stored_versions(connection: Connection, source: str, external_ids: Sequence[str]) -> dict[str, str]:
    """Return external_id -> stored version, for items that were imported before."""
    found: dict[str, str] = {}
    for some in chunks(external_ids):
        rows = select(source_items.c.external_id, source_items.c.version).where(
            source_items.c.source == source, source_items.c.external_id.in_(some)
        )
        found |= {row.external_id: row.version for row in connection.execute(rows)}
    return found


def in_slice(connection: Connection, row: ImportRow, external_ids: Sequence[str], key: str) -> set[str]:
    """Return those of the items that this import has found in the slice already."""
    found = set[str]()
    for some in chunks(external_ids):
        rows = select(source_items.c.external_id).where(
            source_items.c.source == row.source,
            source_items.c.external_id.in_(some),
            source_items.c.last_import_id == row.id,
            source_items.c.slice == key,
        )
        found.update(connection.scalars(rows))
    return found


def last_read_state(connection: Connection, row: ImportRow) -> ReadState:
    """Return the state of the latest earlier import that read the source's list; an empty one if there is none."""
    before = (imports.c.source == row.source, imports.c.id < row.id, imports.c.kind != ImportKind.SELECTION)
    newest = select(imports.c.checkpoint).where(*before, imports.c.checkpoint.is_not(None))
    return ReadState.read(connection.scalar(newest.order_by(imports.c.id.desc()).limit(1)))


def forget_versions(connection: Connection, source: str, *, etags: bool = False) -> int:
    """Delete all stored versions of the source, so that all details are fetched again. Return their number.

    With `etags`, delete these as well: otherwise the API may answer that a detail has not changed.
    """
    has_one = source_items.c.version.is_not(None)
    theirs = or_(has_one, source_items.c.etag.is_not(None)) if etags else has_one
    values = {"version": None, "etag": None} if etags else {"version": None}
    forgotten = update(source_items).where(source_items.c.source == source, theirs).values(values)
    return connection.execute(forgotten).rowcount


def has_items(connection: Connection, source: str) -> bool:
    """Return True if an import of the source has recorded an item."""
    return connection.scalar(select(source_items.c.source).where(source_items.c.source == source).limit(1)) is not None


def etags(connection: Connection, source: str, external_ids: Sequence[str]) -> dict[str, str]:
    """Return external_id -> the ETag of the response whose details are stored."""
    found: dict[str, str] = {}
    for some in chunks(external_ids):
        rows = select(source_items.c.external_id, source_items.c.etag).where(
            source_items.c.source == source, source_items.c.external_id.in_(some), source_items.c.etag.is_not(None)
        )
        found |= {row.external_id: row.etag for row in connection.execute(rows)}
    return found


def record(
    connection: Connection,
    row: ImportRow,
    seen: Sequence[SeenItem],
    *,
    forgets_slice: bool = False,
    is_partial: bool = False,
) -> None:
    """Record discovered items. An import that fetches all details again forgets their stored versions.

    `forgets_slice`: the items belong to no slice any more, so that only a list of all slices proves their removal.
    `is_partial`: the import does not read all slices, so that those of another slice may still be in that one, too.
    """
    _store(connection, row, seen, is_new=True, forgets_slice=forgets_slice, is_partial=is_partial)


def store_versions(connection: Connection, row: ImportRow, seen: Sequence[SeenItem]) -> None:
    """Store versions and ETags of items that the import has recorded before; no index changes."""
    _store(connection, row, seen, is_new=False)


def _store(
    connection: Connection,
    row: ImportRow,
    seen: Sequence[SeenItem],
    *,
    is_new: bool,
    forgets_slice: bool = False,
    is_partial: bool = False,
) -> None:
    if not seen:
        return
    statement = _storing(
        connection.dialect.name,
        is_new=is_new,
        fetches_all=row.options.fetches_all,
        forgets_slice=forgets_slice,
        is_partial=is_partial,
    )
    rows = [
        {
            "source": row.source,
            "external_id": item.external_id,
            "version": item.version,
            "etag": item.etag,
            "first_import_id": row.id,
            "last_import_id": row.id,
            "slice": item.slice,
            "changed_import_id": row.id if is_new and item.is_changed else None,
        }
        for item in seen
    ]
    connection.execute(statement, without_nulls(rows))


@cache
def _storing(dialect: str, *, is_new: bool, fetches_all: bool, forgets_slice: bool, is_partial: bool) -> Any:
    statement = insert_for(dialect, source_items)
    old, new = source_items.c, statement.excluded
    changed: dict[str, Any] = {
        "version": func.coalesce(new.version, old.version),
        "etag": func.coalesce(new.etag, old.etag),
    }
    if is_new and fetches_all:
        # Versions that this import itself has stored stay if it reads its list again.
        is_ours = old.last_import_id == new.last_import_id
        changed = {name: case((is_ours, kept), else_=new[name]) for name, kept in changed.items()}
    if is_new:
        in_several = old.slice.is_distinct_from(new.slice)
        if not is_partial:
            in_several = and_(old.last_import_id == new.last_import_id, in_several)
        listed_in = case((new.slice.is_(None), old.slice), (in_several, None), else_=new.slice)
        changed |= {
            "last_import_id": new.last_import_id,
            "gone_at": None,
            "slice": null() if forgets_slice else listed_in,
            # An item that was gone has changed, whatever its version: its slice was left out meanwhile.
            "changed_import_id": case(
                (old.gone_at.is_not(None), new.last_import_id),
                else_=func.coalesce(new.changed_import_id, old.changed_import_id),
            ),
        }
    return statement.on_conflict_do_update(index_elements=["source", "external_id"], set_=changed)


def has_later_import(connection: Connection, row: ImportRow) -> bool:
    """Return True if another import of the source started after this one, and may have recorded items since.

    The ids of events order the starts: clocks are set, and an import of a slot has its id long before its start.
    """
    began = import_events.c.action == STARTED
    own = select(func.max(import_events.c.id)).where(import_events.c.import_id == row.id, began).scalar_subquery()
    others = import_events.join(imports, imports.c.id == import_events.c.import_id)
    later = (began, import_events.c.id > own, imports.c.source == row.source, imports.c.id != row.id)
    return connection.scalar(select(imports.c.id).select_from(others).where(*later).limit(1)) is not None


def mark_removed(
    connection: Connection,
    row: ImportRow,
    now: datetime,
    most_share: float,
    among: ColumnElement[bool] | None = None,
) -> Removed:
    """Mark items as removed that a complete list no longer has. More than `most_share` of all are only counted.

    Call it after a complete discovery only: an import that read half of the list would mark the other half. With
    `among`, the import read some lists of the source, and only items that meet the condition may be removed.
    """
    present = (source_items.c.source == row.source, source_items.c.gone_at.is_(None))
    last = source_items.c.last_import_id
    # Lower and higher ids, not "other": so that an index skips all items that are still listed.
    limits = () if among is None else (among,)
    missing = [(*present, last < row.id, *limits), (*present, last > row.id, *limits)]
    count = sum(connection.scalar(select(func.count()).where(*each)) or 0 for each in missing)
    if not count:
        return Removed(count=0, marked=True)
    seen = (source_items.c.source == row.source, last == row.id) if among is None else present
    known = connection.scalar(select(func.count()).where(*seen)) or 0
    if count > most_share * (known + count if among is None else known):
        return Removed(count=count, marked=False)
    for each in missing:
        connection.execute(update(source_items).where(*each).values(gone_at=now))
    return Removed(count=count, marked=True)


def keep_listed(connection: Connection, row: ImportRow, key: str | None) -> None:
    """Record all present items of a list as discovered: the slice's, or all of the source if `key` is None."""
    theirs = (source_items.c.source == row.source, source_items.c.gone_at.is_(None))
    limits = () if key is None else (source_items.c.slice == key,)
    connection.execute(update(source_items).where(*theirs, *limits).values(last_import_id=row.id))


def mark_gone(connection: Connection, source: str, external_ids: Sequence[str], now: datetime) -> None:
    """Mark items as gone whose details the API no longer has; their rows stay."""
    for some in chunks(external_ids):
        theirs = (source_items.c.source == source, source_items.c.external_id.in_(some))
        connection.execute(update(source_items).where(*theirs).values(gone_at=now))


def assign_numbers(connection: Connection, source: str, external_ids: Sequence[str]) -> None:
    """Give item numbers to recorded items that have none yet, in the given order.

    Call it while the lease of the source's running import is locked (`leases.hold`): then no other process does so.
    """
    unnumbered = set[str]()
    for some in chunks(external_ids):
        rows = select(source_items.c.external_id).where(
            source_items.c.source == source, source_items.c.external_id.in_(some), source_items.c.number.is_(None)
        )
        unnumbered.update(connection.scalars(rows))
    if not unnumbered:
        return
    last = connection.scalar(select(func.max(source_items.c.number)).where(source_items.c.source == source)) or 0
    new = [each for each in dict.fromkeys(external_ids) if each in unnumbered]
    connection.execute(
        update(source_items)
        .where(source_items.c.source == source, source_items.c.external_id == bindparam("item"))
        .values(number=bindparam("its_number")),
        [{"item": external_id, "its_number": last + place} for place, external_id in enumerate(new, start=1)],
    )


def numbers_of(connection: Connection, source: str, external_ids: Sequence[str]) -> dict[str, int]:
    """Return external_id -> item number, for items that have one."""
    found: dict[str, int] = {}
    for some in chunks(external_ids):
        rows = select(source_items.c.external_id, source_items.c.number).where(
            source_items.c.source == source, source_items.c.external_id.in_(some), source_items.c.number.is_not(None)
        )
        found |= {row.external_id: row.number for row in connection.execute(rows)}
    return found


def items_numbered(connection: Connection, source: str, first: int, last: int) -> list[str]:
    """Return the items with those numbers, in their order."""
    columns = source_items.c
    found = select(columns.external_id).where(columns.source == source, columns.number.between(first, last))
    return list(connection.scalars(found.order_by(columns.number)))


@dataclass(frozen=True, kw_only=True)
class BucketResult:
    """The result of an import for the items of a bucket."""

    completed: int
    failed: int


def bucket_result(connection: Connection, import_id: int, source: str, first: int, last: int) -> BucketResult:
    """Count the results of the import for the item numbers from first to last."""
    members = select(source_items.c.external_id).where(
        source_items.c.source == source, source_items.c.number.between(first, last)
    )
    found = (statuses.c.import_id == import_id, statuses.c.external_id.in_(members))
    rows = connection.execute(select(statuses.c.status, func.count()).where(*found).group_by(statuses.c.status))
    counts = {row[0]: row[1] for row in rows}
    return BucketResult(completed=counts.get(ItemStatus.COMPLETED, 0), failed=counts.get(ItemStatus.FAILED, 0))
