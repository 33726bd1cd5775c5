"""Slices that are too large: the smaller ones that are read in their place."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, select, update

from import_pipeline.tracking.database.dialect import chunks, insert_into
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.tables import imports, source_items

#: Key of a checkpoint: the list is read whole, although the import reads what changed.
WHOLE = "is_whole"


def is_split() -> ColumnElement[bool]:
    """Return the condition for a slice that ended at the API's cap; if it is not incomplete, it was split."""
    capped: ColumnElement[bool] = slices.c.checkpoint["is_capped"].as_boolean()
    return capped.is_(True)


def reads_whole() -> ColumnElement[bool]:
    """Return the condition for a slice that an import of changes reads whole, and for its parts."""
    whole: ColumnElement[bool] = slices.c.checkpoint[WHOLE].as_boolean()
    return whole.is_(True)


def add_parts(
    connection: Connection, import_id: int, key: str, parts: Sequence[str], *, is_whole: bool
) -> tuple[int, str | None]:
    """Add the parts of a slice to its import. Return their number, and why they cannot replace it; None if they can.

    Call it in the transaction that completes the slice. Parts that the import knows already are read once. The slice's
    items belong to no slice any more: only a list of all slices proves their removal. `is_whole`: an import of changes
    reads the slice whole, and so its parts.
    """
    unique = list(dict.fromkeys(parts))
    for some in chunks(unique):
        before = select(slices.c.key).where(slices.c.import_id == import_id, slices.c.key.in_(some), is_split())
        if (known := connection.scalar(before.limit(1))) is not None or key in some:
            return 0, f"`split` returns {known or key!r}, which is too large itself: return smaller slices"
    statement = insert_into(connection, slices).on_conflict_do_nothing(index_elements=["import_id", "key"])
    rows = [{"import_id": import_id, "key": each, "checkpoint": {WHOLE: True} if is_whole else None} for each in unique]
    added = len(connection.execute(statement.returning(slices.c.id), rows).all())
    source = select(imports.c.source).where(imports.c.id == import_id).scalar_subquery()
    theirs = (source_items.c.source == source, source_items.c.slice == key)
    connection.execute(update(source_items).where(*theirs).values(slice=None))
    return added, None
