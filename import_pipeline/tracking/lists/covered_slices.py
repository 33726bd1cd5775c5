"""Slices that were read up to the bookmark, so that what changed since it is all that they can have besides."""

from sqlalchemy import Connection, func, select

from import_pipeline.rules.status import WHOLE_KINDS, ImportStatus
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.lists.slice_table import was_read_whole
from import_pipeline.tracking.tables import imports, source_items


def is_covered(connection: Connection, row: ImportRow, key: str, *, of_any_import: bool) -> bool:
    """Return True if the import that moved the bookmark, or a later one, has read the slice to its end.

    `of_any_import`: an earlier one counts as well, since an import leaves out slices that have not changed.
    """
    ended = (
        imports.c.source == row.source,
        imports.c.status == ImportStatus.COMPLETED,
        imports.c.kind.in_(WHOLE_KINDS),
        imports.c.metadata["limit"].as_string().is_(None),
    )
    since = () if of_any_import else (imports.c.id >= row.facts.bookmark_import,)
    of_import = slices.join(imports, imports.c.id == slices.c.import_id)
    read = select(slices.c.id).select_from(of_import).where(slices.c.key == key, was_read_whole(), *ended, *since)
    return connection.scalar(read.limit(1)) is not None


def covered_by_items(connection: Connection, row: ImportRow, *, of_any_import: bool) -> frozenset[str]:
    """Return the slices that items prove as read, if slices of the imports that read them were deleted; else none."""
    if not of_any_import and not _is_pruned(connection, row.facts.bookmark_import):
        return frozenset()
    listed = select(source_items.c.slice).where(source_items.c.source == row.source, source_items.c.slice.is_not(None))
    return frozenset(connection.scalars(listed.distinct()))


def _is_pruned(connection: Connection, import_id: int | None) -> bool:
    """Return True if slices of the import were deleted, or the import was."""
    counted = connection.scalar(select(imports.c.slices_completed_count).where(imports.c.id == import_id))
    left = connection.scalar(select(func.count()).where(slices.c.import_id == import_id, was_read_whole())) or 0
    return counted is None or left < counted
