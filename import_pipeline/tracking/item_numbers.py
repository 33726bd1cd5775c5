"""The numbers of a source's items, which say what bucket each belongs to. Given once, in order of the first meeting."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, update

from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import source_items
from import_pipeline.tracking.user_rows.model_columns import chunks


def assign_numbers(connection: Connection, source: str, external_ids: Sequence[str]) -> None:
    """Number those of the known items that have none yet, in their order.

    Call it where the source's running import is held (`leases.hold`): then nobody else gives numbers now.
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
    """external_id -> number, of those that have one."""
    found: dict[str, int] = {}
    for some in chunks(external_ids):
        rows = select(source_items.c.external_id, source_items.c.number).where(
            source_items.c.source == source, source_items.c.external_id.in_(some), source_items.c.number.is_not(None)
        )
        found |= {row.external_id: row.number for row in connection.execute(rows)}
    return found


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How an import has gone for the items of some numbers."""

    completed: int
    failed: int


def bucket_result(connection: Connection, import_id: int, source: str, first: int, last: int) -> Tally:
    """The outcomes of the import for the items numbered from the first to the last."""
    members = select(source_items.c.external_id).where(
        source_items.c.source == source, source_items.c.number.between(first, last)
    )
    found = (statuses.c.import_id == import_id, statuses.c.external_id.in_(members))
    rows = connection.execute(select(statuses.c.status, func.count()).where(*found).group_by(statuses.c.status))
    counts = {row[0]: row[1] for row in rows}
    return Tally(completed=counts.get(ItemStatus.COMPLETED, 0), failed=counts.get(ItemStatus.FAILED, 0))
