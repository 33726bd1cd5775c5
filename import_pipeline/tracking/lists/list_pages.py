"""List pages, the ledger of discovery: a page in one transaction, or the chosen items of a selection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from import_pipeline.contracts import Importable
from import_pipeline.rules.lists.positions import Position
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking import source_items as items_of_source
from import_pipeline.tracking.counters import NOTHING, CounterDelta, sums
from import_pipeline.tracking.database.dialect import insert_into, without_nulls
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import count, of_items
from import_pipeline.tracking.leases import Lease, hold, write
from import_pipeline.tracking.lists.list_rows import IMPORT_LIST, ListRow
from import_pipeline.tracking.lists.owed_items import HELD
from import_pipeline.tracking.lists.selections import note_listed_versions
from import_pipeline.tracking.source_items import SeenItem
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.user_rows import reading
from import_pipeline.tracking.user_rows.row_swaps import release_unique_values
from import_pipeline.tracking.user_rows.row_writing import upsert

#: Key of a failed item row's metadata: the slice that listed it.
SLICE = "slice"


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """One item of a list page. `importable` is None if the source could not read it; `problem` says why."""

    external_id: str
    importable: Importable | None
    version: str | None = None
    whole: bool = False  #: the list has all of it: no details to fetch
    problem: str | None = None
    is_named: bool = True  #: False: the list item has no readable id, and its place stands for it
    by_id: bool = True  #: False: if it fails, no later request fetches it by its id; only the list has it
    position: Position | None = None  #: in the list, if the source is incremental
    is_deleted: bool = False  #: a tombstone: it says that the item was deleted


@dataclass(frozen=True, kw_only=True)
class Page:
    """A list page to store, with the checkpoint after it."""

    items: Sequence[Discovered]
    checkpoint: Mapping[str, Any]
    total: int | None = None
    reading: int | None = None  #: the reading of the list, from 1


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The rows of a refused page, which were stored before it, each by itself."""

    refused: Mapping[str, str]  #: external_id -> why
    known: Mapping[str, str]  #: the result of `known_versions` before


def store_page(
    connection: Connection,
    row: ImportRow,
    lease: Lease,
    model: type[Any],
    page: Page,
    now: datetime,
    sent: CounterDelta = NOTHING,
    apart: Apart | None = None,
    of_list: ListRow = IMPORT_LIST,
) -> int:
    """Store a page: stubs, item rows, stored versions, checkpoint, counters, and the requests in `sent`.

    Return the number of items that are new to this list. Raises LeaseLost, and RowsRefused if the user's table
    refuses a row: then store the rows one by one (`store_stubs`), and the page with `apart`.
    """
    hold(connection, lease, to_write=True)
    readable = {item.external_id: item for item in page.items if item.importable is not None}
    known = known_versions(connection, row, model, page) if apart is None else apart.known
    if apart is None:
        _write_stubs(connection, model, list(readable.values()), known)
    problems: dict[str, str | None] = dict(apart.refused) if apart is not None else {}
    problems |= {item.external_id: item.problem for item in page.items if item.problem is not None}
    stored = reading.ids(connection, model, list(readable), row.source)
    unique = {item.external_id: item for item in page.items}
    statuses = [
        _status_row(row, item, stored, problems, known, now, of_list.key) | {"reading": page.reading}
        for item in unique.values()
    ]
    inserted = _insert_statuses(connection, statuses)
    named = [item for item in unique.values() if item.is_named]
    new = inserted.new
    if of_list.key is not None:  # another slice may have listed them first
        before = items_of_source.in_slice(connection, row, [item.external_id for item in named], of_list.key)
        new = len(unique) - len(before)
    seen = [_seen(item, problems, known, of_list.key if of_list.is_lasting else None) for item in named]
    items_of_source.record(connection, row, seen, forgets_slice=not of_list.is_lasting, is_partial=of_list.is_partial)
    counts = inserted.counts + sent
    of_list.advance(connection, lease, now, page.checkpoint, total=page.total, new=new, counts=counts)
    return new


def _write_stubs(
    connection: Connection, model: type[Any], items: Sequence[Discovered], known: Mapping[str, str]
) -> None:
    """Write the rows of list items. Raises RowsRefused.

    A whole item is written with all its values, unless its version is unchanged: then its related rows stay, too.
    """
    unchanged = [item for item in items if _is_unchanged(item, known)]
    whole = [item for item in items if item.whole and not _is_unchanged(item, known)]
    others = [item for item in items if not item.whole and not _is_unchanged(item, known)]
    for some, is_stub, related in ((whole, False, True), (others, True, True), (unchanged, True, False)):
        rows = [item.importable for item in some if item.importable is not None]
        upsert(connection, model, rows, is_stub=is_stub, related=related)


def store_stubs(
    connection: Connection,
    lease: Lease,
    model: type[Any],
    items: Sequence[Discovered],
    known: Mapping[str, str],
    *,
    swaps: bool = False,
) -> None:
    """Store only the rows of items, before their page or after it. Raises LeaseLost and RowsRefused."""
    hold(connection, lease, to_write=True)
    if swaps:
        release_unique_values(connection, model, [item.importable for item in items if item.importable is not None])
    _write_stubs(connection, model, items, known)


def accept(connection: Connection, row: ImportRow, lease: Lease, item: Discovered, now: datetime) -> None:
    """Accept an item whose row was refused with its page and is stored now. Raises LeaseLost."""
    hold(connection, lease, to_write=True)
    done = {"status": ItemStatus.COMPLETED, "completed_at": now} if item.whole else {"status": ItemStatus.PENDING}
    accepted = (
        update(statuses)
        .where(
            *of_items(row, [item.external_id]),
            statuses.c.status == ItemStatus.FAILED,
            statuses.c.next_attempt_at.is_(None),
        )
        .values(failure_count=0, failure_reason=None, last_failed_at=None, **done)
    )
    if connection.execute(accepted).rowcount != 1:
        return
    if item.whole:
        items_of_source.store_versions(connection, row, [_seen(item, {}, {}, None)])
    write(
        connection,
        lease,
        now,
        **sums(CounterDelta(failed=-1, imported=int(item.whole))),
    )


def known_versions(connection: Connection, row: ImportRow, model: type[Any], page: Page) -> dict[str, str]:
    """Return external_id -> stored version, for rows that still exist: a row that the user deleted is imported again.

    Empty for an import that fetches all details again.
    """
    if row.options.fetches_all:
        return {}
    with_version = [item.external_id for item in page.items if item.importable is not None and item.version is not None]
    known = items_of_source.stored_versions(connection, row.source, with_version)
    existing = reading.ids(connection, model, list(known), row.source)
    return {external_id: version for external_id, version in known.items() if external_id in existing}


def _is_unchanged(item: Discovered, known: Mapping[str, str]) -> bool:
    return item.version is not None and known.get(item.external_id) == item.version


def _seen(
    item: Discovered, problems: Mapping[str, str | None], known: Mapping[str, str], slice_key: str | None
) -> SeenItem:
    """Return the item as discovered. If the table refuses its row, it is in the list, but its version is not stored."""
    is_stored = item.whole and item.external_id not in problems and item.importable is not None
    return SeenItem(
        external_id=item.external_id,
        version=item.version if is_stored else None,
        slice=slice_key,
        is_changed=not _is_unchanged(item, known),
    )


def _status_row(
    row: ImportRow,
    item: Discovered,
    stored: Mapping[str, str],
    problems: Mapping[str, str | None],
    known: Mapping[str, str],
    now: datetime,
    slice_key: str | None,
) -> dict[str, Any]:
    problem = problems.get(item.external_id)
    unchanged = _is_unchanged(item, known)
    done = problem is None and (item.whole or unchanged)
    status = ItemStatus.FAILED if problem else ItemStatus.COMPLETED if done else ItemStatus.PENDING
    metadata: dict[str, Any] = {} if item.version is None else {"version": item.version}
    if unchanged:
        metadata["unchanged"] = True
    if problem is not None and slice_key is not None:
        metadata[SLICE] = slice_key
    if problem and not item.by_id:
        metadata[HELD] = True
    return {
        "import_id": row.id,
        "importable_type": row.importable_type,
        "importable_id": stored.get(item.external_id),
        "external_id": item.external_id,
        "status": status,
        "failure_count": 1 if problem else 0,
        "failure_reason": problem,
        "last_failed_at": now if problem else None,
        "completed_at": now if done else None,
        "metadata": metadata,
        "position": None if item.position is None else item.position.text,
    }


@dataclass(frozen=True, kw_only=True)
class Inserted:
    """The item rows that a page added to its import."""

    new: int = 0
    counts: CounterDelta = NOTHING  #: those among them that need no details


def _insert_statuses(connection: Connection, rows: Sequence[dict[str, Any]]) -> Inserted:
    """Insert the rows of items that are new to their import."""
    if not rows:
        return Inserted()
    statement = insert_into(connection, statuses).on_conflict_do_nothing(
        index_elements=["import_id", "importable_type", "external_id"]
    )
    by_id = {row["external_id"]: row for row in rows}
    inserted = connection.execute(statement.returning(statuses.c.external_id), without_nulls(rows))
    new = [by_id[external_id] for (external_id,) in inserted]
    completed = [row for row in new if row["status"] is ItemStatus.COMPLETED]
    unchanged = sum(row["metadata"].get("unchanged", False) for row in completed)
    failed = sum(row["status"] is ItemStatus.FAILED for row in new)
    counts = CounterDelta(imported=len(completed) - unchanged, unchanged=unchanged, failed=failed)
    return Inserted(new=len(new), counts=counts)


def select_items(
    connection: Connection, row: ImportRow, lease: Lease, external_ids: Sequence[str], now: datetime
) -> None:
    """Add the items of a selection, as pending. Raises LeaseLost."""
    unique = list(dict.fromkeys(external_ids))
    _insert_statuses(
        connection,
        [
            {
                "import_id": row.id,
                "importable_type": row.importable_type,
                "external_id": external_id,
                "status": ItemStatus.PENDING,
                "metadata": {},
            }
            for external_id in unique
        ],
    )
    note_listed_versions(connection, row)
    write(connection, lease, now, items_count=count(connection, row.id), checkpoint={"complete": True})
