"""What happened to an import, in sentences."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from import_pipeline.tracking.tables import import_events

#: What an import does while it stands still; the event's `until` and `reason` say for how long and why.
WAITS = "import_waits"


def note(connection: Connection, import_id: int, now: datetime, action: str, message: str, **metadata: Any) -> None:
    """Record what happened, as a sentence for people and a stable action for programs."""
    connection.execute(
        insert(import_events).values(import_id=import_id, at=now, action=action, message=message, metadata=metadata)
    )


def latest(connection: Connection, import_id: int, limit: int = 100) -> list[tuple[datetime, str, str]]:
    """(when, action, sentence) of the import's latest events, oldest first."""
    statement = (
        select(import_events.c.at, import_events.c.action, import_events.c.message)
        .where(import_events.c.import_id == import_id)
        .order_by(import_events.c.id.desc())
        .limit(limit)
    )
    return [(row.at, row.action, row.message) for row in reversed(connection.execute(statement).all())]


def waiting(connection: Connection, import_id: int, now: datetime) -> tuple[str, datetime] | None:
    """(why, until when) the import stands still now, by its latest event; None where it does not."""
    newest = select(import_events).where(import_events.c.import_id == import_id).order_by(import_events.c.id.desc())
    event = connection.execute(newest.limit(1)).one_or_none()
    if event is None or event.action != WAITS:
        return None
    until = datetime.fromisoformat(event.metadata["until"])
    return (event.metadata["reason"], until) if until > now else None
