"""Slices that were read up to the bookmark, so that what changed since it is all that they can have besides."""

from datetime import timedelta

from sqlalchemy import Connection, and_, case, func, or_, select

from import_pipeline.rules.lists.positions import minus, parse_position
from import_pipeline.rules.status import WHOLE_KINDS, ImportStatus
from import_pipeline.tracking.imports import ImportRow, get
from import_pipeline.tracking.lists.slice_parts import is_split, reads_whole
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.lists.slice_table import was_read_whole
from import_pipeline.tracking.tables import imports, source_items


def is_covered(connection: Connection, row: ImportRow, key: str) -> bool:
    """Return True if the import that moved the bookmark, or a later one, has read the slice to its end."""
    last = last_reading(connection, row, key)
    return last is not None and last >= (row.facts.bookmark_import or 0)


def last_reading(connection: Connection, row: ImportRow, key: str) -> int | None:
    """Return the latest import that has read the slice to its end; None without one.

    A slice that was split was read once all of its parts were, so its import must be complete.
    """
    ended = (
        imports.c.source == row.source,
        imports.c.status == ImportStatus.COMPLETED,
        imports.c.kind.in_(WHOLE_KINDS),
        imports.c.metadata["limit"].as_string().is_(None),
    )
    of_import = slices.join(imports, imports.c.id == slices.c.import_id)
    is_proof = and_(was_read_whole(), or_(~is_split(), imports.c.incomplete_reason.is_(None)))
    read = select(imports.c.id).select_from(of_import).where(slices.c.key == key, is_proof, *ended)
    return connection.scalar(read.order_by(imports.c.id.desc()).limit(1))


def position_read_to(connection: Connection, row: ImportRow, key: str, lookback: timedelta | float) -> str | None:
    """Return the position from which a slice is read that imports have left out, since it had not changed.

    The bookmark passes what changes in such a slice until the parent's import notices it. So the bookmark counts that
    the slice's last reading left. None: the slice is to be read whole.
    """
    last = last_reading(connection, row, key)
    facts = None if last is None else get(connection, last).facts
    if facts is None or facts.positions != row.facts.positions:
        return None
    return facts.since if facts.bookmark is None else minus(parse_position(facts.bookmark), lookback)


def to_read_whole(connection: Connection, row: ImportRow) -> frozenset[str]:
    """Return the slices whose items are all gone, and those whose whole reading has begun and not ended.

    If the parent's item was gone and is back, its old items lie below the bookmark, and only a whole list shows them.
    """
    theirs = (source_items.c.source == row.source, source_items.c.slice.is_not(None))
    is_live = case((source_items.c.gone_at.is_(None), 1), else_=0)
    gone = select(source_items.c.slice).where(*theirs).group_by(source_items.c.slice).having(func.max(is_live) == 0)
    own, later = select(imports.c.id).where(imports.c.source == row.source), slices.alias("later")
    of_same = (later.c.import_id.in_(own), later.c.key == slices.c.key, later.c.id > slices.c.id)
    is_ended = select(later.c.id).where(*of_same, was_read_whole(later)).exists()
    begun = select(slices.c.key).where(slices.c.import_id.in_(own), ~was_read_whole(), reads_whole(), ~is_ended)
    return frozenset(connection.scalars(gone)) | frozenset(connection.scalars(begun))


def belongs_to_whole(connection: Connection, row: ImportRow, key: str) -> bool:
    """Return True if the slice is a part of one that an import has read whole since the bookmark was moved."""
    of_source = slices.join(imports, imports.c.id == slices.c.import_id)
    theirs = (imports.c.source == row.source, imports.c.id >= row.facts.bookmark_import)
    part = select(slices.c.id).select_from(of_source).where(slices.c.key == key, reads_whole(), *theirs)
    return connection.scalar(part.limit(1)) is not None


def covered_by_items(connection: Connection, row: ImportRow) -> frozenset[str]:
    """Return the slices that items prove as read, if slices of the imports that read them were deleted; else none.

    A slice of which an import has read only some pages has items, too: they prove nothing.
    """
    if not _is_pruned(connection, row.facts.bookmark_import):
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
