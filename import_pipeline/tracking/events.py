"""What happened to an import, in sentences."""

from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, insert, select

from import_pipeline.logs import tell
from import_pipeline.tracking.database import when_committed
from import_pipeline.tracking.tables import import_events, imports

#: What an import does while it stands still; the event's `until` and `reason` say for how long and why. Without `until`
#: it lasts until the import's next event.
WAITS = "import_waits"
#: The same of an import that its worker has left meanwhile, for another run to go on with.
PAUSED = "import_paused"


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


def waiting(connection: Connection, import_id: int, now: datetime) -> tuple[str, datetime | None] | None:
    """(why, until when) the import stands still now, by its latest event; None where it does not.

    No moment: until what it waits for is back. What its shards do changes nothing about that.
    """
    own = (import_events.c.import_id == import_id, import_events.c.action.not_like("shard%"))
    newest = select(import_events).where(*own).order_by(import_events.c.id.desc())
    event = connection.execute(newest.limit(1)).one_or_none()
    if event is None or "reason" not in event.metadata:
        return None
    reason, until = event.metadata["reason"], event.metadata["until"]
    if until is None:
        return reason, None
    moment = datetime.fromisoformat(until)
    return (reason, moment) if moment > now else None


def waits_for_store(connection: Connection, import_id: int, now: datetime) -> str | None:
    """Why the import stands still until something is back: only the store of the limits is waited for like that."""
    found = waiting(connection, import_id, now)
    return found[0] if found is not None and found[1] is None else None
