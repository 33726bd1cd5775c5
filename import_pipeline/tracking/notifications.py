"""The events that people are told of, each with the mark that lets one process tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from import_pipeline.rules.notifications import NEWS_FOR, OCCASIONS, Delivery
from import_pipeline.tracking.tables import import_events, imports

MARK = "notice"


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of which people are to be told."""

    id: int
    import_id: int
    at: datetime
    action: str
    message: str
    mark: Delivery
    metadata: Mapping[str, Any]


def due(connection: Connection, source: str, now: datetime) -> list[Event]:
    """The source's events to be told now, the oldest first."""
    columns = import_events.c
    statement = (
        select(import_events)
        .join(imports, imports.c.id == columns.import_id)
        .where(imports.c.source == source, columns.action.in_(OCCASIONS), columns.at > now - NEWS_FOR)
        .order_by(columns.id)
    )
    events = [
        Event(
            id=row.id,
            import_id=row.import_id,
            at=row.at,
            action=row.action,
            message=row.message,
            mark=Delivery.read(row.metadata.get(MARK)),
            metadata=row.metadata,
        )
        for row in connection.execute(statement)
    ]
    return [event for event in events if event.mark.is_due(now)]


def move(connection: Connection, event: Event, mark: Delivery, **more: str) -> bool:
    """Put the mark in the place of the one that was seen; False where another process was faster."""
    seen = func.coalesce(import_events.c.metadata[MARK].as_string(), "")
    statement = (
        update(import_events)
        .where(import_events.c.id == event.id, seen == event.mark.dump())
        .values(metadata={**event.metadata, **more, MARK: mark.dump()})
    )
    return connection.execute(statement).rowcount == 1
