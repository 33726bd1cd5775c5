"""Dropping item rows that nobody needs any more, in batches."""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from import_pipeline.rules.status import ENDED, ItemStatus
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import imports


def drop_batch(connection: Connection, ended_before: datetime, size: int) -> int:
    """Drop up to that many item rows of imports that ended before; failed ones stay. Returns how many it were."""
    old = select(imports.c.id).where(imports.c.status.in_(ENDED), imports.c.ended_at < ended_before)
    batch = (
        select(statuses.c.id).where(statuses.c.import_id.in_(old), statuses.c.status != ItemStatus.FAILED).limit(size)
    )
    return connection.execute(delete(statuses).where(statuses.c.id.in_(batch))).rowcount
