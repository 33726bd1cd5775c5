"""Slices that were read up to the bookmark, so that what changed since it is all that they can have besides."""

from sqlalchemy import Connection, and_, func, or_, select

from import_pipeline.rules.status import WHOLE_KINDS, ImportStatus
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists.slice_parts import is_part_of_whole, is_split
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.lists.slice_table import was_read_whole
from import_pipeline.tracking.tables import imports, source_items


def is_covered(connection: Connection, row: ImportRow, key: str, *, of_any_import: bool) -> bool:
    """Return True if the import that moved the bookmark, or a later one, has read the slice to its end.

    A slice that was split was read once all of its parts were, so its import must be complete. `of_any_import`: an
    earlier one counts as well, since an import leaves out slices that have not changed.
    """
    ended = (
        imports.c.source == row.source,
        imports.c.status == ImportStatus.COMPLETED,
        imports.c.kind.in_(WHOLE_KINDS),
        imports.c.metadata["limit"].as_string().is_(None),
    )
    since = () if of_any_import else (imports.c.id >= row.facts.bookmark_import,)
    of_import = slices.join(imports, imports.c.id == slices.c.import_id)
    is_proof = and_(was_read_whole(), or_(~is_split(), imports.c.incomplete_reason.is_(None)))
    read = select(slices.c.id).select_from(of_import).where(slices.c.key == key, is_proof, *ended, *since)
    return connection.scalar(read.limit(1)) is not None


def belongs_to_whole(connection: Connection, row: ImportRow, key: str) -> bool:
    """Return True if the slice is a part of one that an import has read whole since the bookmark was moved."""
    of_source = slices.join(imports, imports.c.id == slices.c.import_id)
    theirs = (imports.c.source == row.source, imports.c.id >= row.facts.bookmark_import)
    part = select(slices.c.id).select_from(of_source).where(slices.c.key == key, is_part_of_whole(), *theirs)
    return connection.scalar(part.limit(1)) is not None


def covered_by_items(connection: Connection, row: ImportRow, *, of_any_import: bool) -> frozenset[str]:
    """Return the slices that items prove as read, if slices of the imports that read them were deleted; else none.

    A slice of which an import has read only some pages has items, too: they prove nothing.
    """
    if not of_any_import and not _is_pruned(connection, row.facts.bookmark_import):
        return frozenset()
    listed = select(source_items.c.slice).where(source_items.c.source == row.source, source_items.c.slice.is_not(None))
    of_source = slices.join(imports, imports.c.id == slices.c.import_id)
    partly = (imports.c.source == row.source, ~was_read_whole(), slices.c.page > 0)
    unread = select(slices.c.key).select_from(of_source).where(*partly)
    return frozenset(connection.scalars(listed.distinct())) - frozenset(connection.scalars(unread.distinct()))


def _is_pruned(connection: Connection, import_id: int | None) -> bool:
    """Return True if slices of the import were deleted, or the import was."""
    counted = connection.scalar(select(imports.c.slices_completed_count).where(imports.c.id == import_id))
    left = connection.scalar(select(func.count()).where(slices.c.import_id == import_id, was_read_whole())) or 0
    return counted is None or left < counted
