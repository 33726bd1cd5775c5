"""The items of an import of chosen ones: those with some item numbers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, literal, select

from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import count
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


def select_numbered(
    connection: Connection, row: ImportRow, lease: Lease, ranges: Sequence[tuple[int, int]], now: datetime
) -> None:
    """Add the source's items with item numbers in these ranges, ends included, as pending. Raises LeaseLost."""
    for first, last in ranges:
        members = as_pending(row).where(source_items.c.number.between(first, last))
        connection.execute(insert(statuses).from_select(PENDING, members.order_by(source_items.c.number)))
    write(connection, lease, now, items_count=count(connection, row.id), checkpoint={"complete": True})
