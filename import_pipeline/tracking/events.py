"""What happened to an import, in sentences."""

from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, insert, select

from import_pipeline.logs import tell
from import_pipeline.tracking.database import when_committed
from import_pipeline.tracking.tables import import_events, imports

#: What an import does while it stands still; the event's `until` and `reason` say for how long and why.
WAITS = "import_waits"


def note(connection: Connection, import_id: int, now: datetime, action: str, message: str, **metadata: Any) -> None:
    """Record what happened, as a sentence for people and a stable action for programs; logged once it is committed."""
    connection.execute(
        insert(import_events).values(import_id=import_id, at=now, action=action, message=message, metadata=metadata)
    )
    source = connection.scalar(select(imports.c.source).where(imports.c.id == import_id))
    when_committed(connection, partial(tell, action, message, import_id=import_id, source=source))


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
