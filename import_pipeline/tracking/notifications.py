"""Events that cause a notice, each with the delivery state that lets only one process send it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from import_pipeline.rules.notifications import MAX_AGE, OCCASIONS, Delivery
from import_pipeline.tracking.tables import import_events, imports

DELIVERY = "notice"


@dataclass(frozen=True, kw_only=True)
class PendingEvent:
    """An event whose notice is due."""

    id: int
    import_id: int
    at: datetime
    action: str
    message: str
    delivery: Delivery
    metadata: Mapping[str, Any]


def due(connection: Connection, source: str, now: datetime) -> list[PendingEvent]:
    """Return the source's events whose notice is due, oldest first."""
    columns = import_events.c
    statement = (
        select(import_events)
        .join(imports, imports.c.id == columns.import_id)
        .where(imports.c.source == source, columns.action.in_(OCCASIONS), columns.at > now - MAX_AGE)
        .order_by(columns.id)
    )
    events = [
        PendingEvent(
            id=row.id,
            import_id=row.import_id,
            at=row.at,
            action=row.action,
            message=row.message,
            delivery=Delivery.read(row.metadata.get(DELIVERY)),
            metadata=row.metadata,
        )
        for row in connection.execute(statement)
    ]
    return [event for event in events if event.delivery.is_due(now)]


def update_delivery(connection: Connection, event: PendingEvent, delivery: Delivery, **more: str) -> bool:
    """Replace the delivery state that was read; False if another process changed it first."""
    seen = func.coalesce(import_events.c.metadata[DELIVERY].as_string(), "")
    statement = (
        update(import_events)
        .where(import_events.c.id == event.id, seen == event.delivery.dump())
        .values(metadata={**event.metadata, **more, DELIVERY: delivery.dump()})
    )
    return connection.execute(statement).rowcount == 1
