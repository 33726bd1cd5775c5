"""What happened to an import, in sentences."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, insert, select

from import_pipeline.logs import report
from import_pipeline.tracking.database.engine import when_committed
from import_pipeline.tracking.tables import import_events, imports

#: What an import does while it stands still; the event's `until` and `reason` say for how long and why. Without `until`
#: it lasts until the import's next event.
WAITS = "import_waits"
#: The same of an import that its worker has left meanwhile, for another run to go on with.
PAUSED = "import_paused"
#: A clock that was set, or that differs from the database's.
CLOCK_SKEW = "clock_skew"
#: Its first worker began.
STARTED = "import_started"
#: A run is asked for that is to begin with it, or to go on.
RUN_REQUESTED = "run_requested"


def note(connection: Connection, import_id: int, now: datetime, action: str, message: str, **metadata: Any) -> None:
    """Record what happened, as a sentence for people and a stable action for programs; logged once it is committed."""
    connection.execute(
        insert(import_events).values(import_id=import_id, at=now, action=action, message=message, metadata=metadata)
    )
    source = connection.scalar(select(imports.c.source).where(imports.c.id == import_id))
    when_committed(connection, partial(report, action, message, import_id=import_id, source=source))


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
    told = _latest_metadata(connection, import_id)
    if "reason" not in told:
        return None
    if told["until"] is None:
        return told["reason"], None
    moment = datetime.fromisoformat(told["until"])
    return (told["reason"], moment) if moment > now else None


def waits_for_store(connection: Connection, import_id: int) -> str | None:
    """Return why the import waits for the rate-limit store; None if it does not wait for it.

    The latest event tells: an import waits for nothing else without a moment.
    """
    metadata = _latest_metadata(connection, import_id)
    return metadata["reason"] if "reason" in metadata and metadata["until"] is None else None


def _latest_metadata(connection: Connection, import_id: int) -> Mapping[str, Any]:
    """What stands with the latest event of the import itself."""
    own = (
        import_events.c.import_id == import_id,
        import_events.c.action.not_like("shard%"),
        import_events.c.action != CLOCK_SKEW,
    )
    newest = select(import_events.c.metadata).where(*own).order_by(import_events.c.id.desc())
    told: Mapping[str, Any] | None = connection.scalar(newest.limit(1))
    return {} if told is None else told
