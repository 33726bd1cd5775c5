"""The items of an import of chosen ones: those with some item numbers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, insert, literal, select

from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import count, replace_metadata
from import_pipeline.tracking.leases import Lease, write
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import source_items

#: The columns of `as_pending`.
PENDING = ("import_id", "importable_type", "external_id", "status")


def as_pending(row: ImportRow) -> Select[Any]:
    """Return the statement that selects the source's present items as pending item rows of the import."""
    values = (literal(row.id), literal(row.importable_type), source_items.c.external_id)
    present = (source_items.c.source == row.source, source_items.c.gone_at.is_(None))
    return select(*values, literal(ItemStatus.PENDING.value)).where(*present)


def note_listed_versions(connection: Connection, row: ImportRow) -> None:
    """Give chosen items the versions that the latest list with them had.

    Stored with the details, they let the next import count the items as unchanged. Without them, all items whose
    details were fetched by their ids would be fetched once more. A version that is older than the details costs one
    request at most: the next list has another one.
    """
    chosen, listed = statuses.alias("chosen"), statuses.alias("listed")
    version = listed.c.metadata["version"].as_string()
    of_chosen = and_(source_items.c.source == row.source, source_items.c.external_id == chosen.c.external_id)
    of_listed = and_(
        listed.c.import_id == source_items.c.last_import_id,
        listed.c.importable_type == chosen.c.importable_type,
        listed.c.external_id == chosen.c.external_id,
    )
    wanted = select(chosen.c.id, version).join(source_items, of_chosen).join(listed, of_listed)
    ours = (chosen.c.import_id == row.id, chosen.c.status == ItemStatus.PENDING, listed.c.import_id != row.id)
    found = connection.execute(wanted.where(*ours, version.is_not(None))).all()
    replace_metadata(connection, {each[0]: {"version": each[1]} for each in found})


def select_numbered(
    connection: Connection, row: ImportRow, lease: Lease, ranges: Sequence[tuple[int, int]], now: datetime
) -> None:
    """Add the source's items with item numbers in these ranges, ends included, as pending. Raises LeaseLost."""
    for first, last in ranges:
        members = as_pending(row).where(source_items.c.number.between(first, last))
        connection.execute(insert(statuses).from_select(PENDING, members.order_by(source_items.c.number)))
    note_listed_versions(connection, row)
    write(connection, lease, now, items_count=count(connection, row.id), checkpoint={"complete": True})
