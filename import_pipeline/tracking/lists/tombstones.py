"""Tombstones: list items that say that an item was deleted."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import source_items


def mark_deleted(connection: Connection, row: ImportRow, external_ids: Sequence[str], now: datetime) -> int:
    """Mark deleted items as gone; their rows stay. Return how many were not gone before. Unknown ones are ignored."""
    deleted = 0
    for ids in chunks(external_ids):
        known = (source_items.c.source == row.source, source_items.c.external_id.in_(ids))
        marked = update(source_items).where(*known, source_items.c.gone_at.is_(None)).values(gone_at=now)
        deleted += connection.execute(marked).rowcount
        by_us = update(source_items).where(*known).values(last_import_id=row.id, owed_import_id=None)
        connection.execute(by_us)
    return deleted


def deleted_by(connection: Connection, row: ImportRow, external_ids: Sequence[str]) -> set[str]:
    """Return which of the items an earlier page of this import has marked as gone."""
    found = set[str]()
    for ids in chunks(external_ids):
        gone = select(source_items.c.external_id).where(
            source_items.c.source == row.source,
            source_items.c.external_id.in_(ids),
            source_items.c.last_import_id == row.id,
            source_items.c.gone_at.is_not(None),
        )
        found.update(connection.scalars(gone))
    return found
