"""Items that an import of an incremental source could not fetch. A later import fetches them, listed again or not."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select, update

from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists.selections import PENDING, as_pending, note_listed_versions
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import source_items

#: Key of an item row's metadata: only the list has the item, or the source could not read it, so no id fetches it.
HELD = "held"


def add_owed(connection: Connection, row: ImportRow) -> int:
    """Add the items that earlier imports owe, as pending, unless the list has named them. Return their number."""
    owed = as_pending(row).where(source_items.c.owed_import_id.is_not(None)).order_by(source_items.c.external_id)
    statement = insert_into(connection, statuses).from_select(PENDING, owed)
    unique = ["import_id", "importable_type", "external_id"]
    added = statement.on_conflict_do_nothing(index_elements=unique).returning(statuses.c.id)
    count = len(connection.execute(added).all())
    if count:
        note_listed_versions(connection, row)
    return count


def settle_owed(connection: Connection, row: ImportRow, *, adds: bool) -> None:
    """Forget the owed items that the import has completed. `adds`: those that it failed are owed from now on."""
    theirs = source_items.c.source == row.source
    owed = (theirs, source_items.c.owed_import_id.is_not(None))
    done = select(statuses.c.external_id).where(
        statuses.c.import_id == row.id, statuses.c.status == ItemStatus.COMPLETED
    )
    connection.execute(update(source_items).where(*owed, source_items.c.external_id.in_(done)).values(_owed(None)))
    connection.execute(update(source_items).where(*owed, source_items.c.gone_at.is_not(None)).values(_owed(None)))
    if adds:
        failed = select(statuses.c.external_id).where(
            statuses.c.import_id == row.id, statuses.c.status == ItemStatus.FAILED
        )
        now_owed = (theirs, source_items.c.external_id.in_(failed))
        connection.execute(update(source_items).where(*now_owed).values(_owed(row.id)))


def _owed(import_id: int | None) -> dict[str, int | None]:
    return {source_items.c.owed_import_id.name: import_id}


def count_owed(connection: Connection, source: str) -> int:
    """Return the number of items that the next import of the source fetches again, listed or not."""
    owed = select(func.count()).where(
        source_items.c.source == source, source_items.c.owed_import_id.is_not(None), source_items.c.gone_at.is_(None)
    )
    return connection.scalar(owed) or 0


def held_positions(connection: Connection, import_id: int) -> list[str | None]:
    """Return the positions of failed items that no later request fetches by their ids; None: unknown."""
    held = select(statuses.c.position).where(
        statuses.c.import_id == import_id,
        statuses.c.status == ItemStatus.FAILED,
        statuses.c.metadata[HELD].as_boolean(),
    )
    return list(connection.scalars(held.distinct()))


def positions_of(connection: Connection, import_id: int) -> Iterator[str]:
    """Yield the positions of the import's items, each once, in no order."""
    known = select(statuses.c.position).where(statuses.c.import_id == import_id, statuses.c.position.is_not(None))
    with connection.execute(known.distinct().execution_options(yield_per=1000)) as rows:
        yield from rows.scalars()
