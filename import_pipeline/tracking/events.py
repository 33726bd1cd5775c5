"""Events of an import: sentences for people, actions for programs."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, insert, select

from import_pipeline.logs import report
from import_pipeline.tracking.database.engine import when_committed
from import_pipeline.tracking.tables import import_events, imports

#: The import waits; the event's `until` and `reason` say until when and why. Without `until` the wait lasts until the
#: import's next event.
WAITS = "import_waits"
#: The import waits, and its worker has released it; another run resumes it.
PAUSED = "import_paused"
#: A clock was set, or differs from the database's.
CLOCK_SKEW = "clock_skew"
#: The first worker began.
STARTED = "import_started"
#: A run was requested that will start or resume it.
RUN_REQUESTED = "run_requested"


def note(connection: Connection, import_id: int, now: datetime, action: str, message: str, **metadata: Any) -> None:
    """Record an event: a sentence for people, a stable action for programs. It is logged after the commit."""
    connection.execute(
        insert(import_events).values(import_id=import_id, at=now, action=action, message=message, metadata=metadata)
    )
    source = connection.scalar(select(imports.c.source).where(imports.c.id == import_id))
    when_committed(connection, partial(report, action, message, import_id=import_id, source=source))


def latest(connection: Connection, import_id: int, limit: int = 100) -> list[tuple[datetime, str, str]]:
    """Return (time, action, sentence) of the import's latest events, oldest first."""
    statement = (
        select(import_events.c.at, import_events.c.action, import_events.c.message)
        .where(import_events.c.import_id == import_id)
        .order_by(import_events.c.id.desc())
        .limit(limit)
    )
    return [(row.at, row.action, row.message) for row in reversed(connection.execute(statement).all())]


def waiting(connection: Connection, import_id: int, now: datetime) -> tuple[str, datetime | None] | None:
    """Return (reason, end) of the import's current wait, from its latest event; None if it does not wait.

    If the end is None, the import waits until the rate-limit store is back. Events of shards do not end a wait.
    """
    metadata = _latest_metadata(connection, import_id)
    if "reason" not in metadata:
        return None
    if metadata["until"] is None:
        return metadata["reason"], None
    moment = datetime.fromisoformat(metadata["until"])
    return (metadata["reason"], moment) if moment > now else None


def waits_for_store(connection: Connection, import_id: int) -> str | None:
    """Return why the import waits for the rate-limit store; None if it does not wait for it.

    It is the only wait without an end, so the latest event shows it.
    """
    metadata = _latest_metadata(connection, import_id)
    return metadata["reason"] if "reason" in metadata and metadata["until"] is None else None


def _latest_metadata(connection: Connection, import_id: int) -> Mapping[str, Any]:
    """Return the metadata of the latest event of the import itself."""
    own = (
        import_events.c.import_id == import_id,
        import_events.c.action.not_like("shard%"),
        import_events.c.action != CLOCK_SKEW,
    )
    newest = select(import_events.c.metadata).where(*own).order_by(import_events.c.id.desc())
    newest_metadata: Mapping[str, Any] | None = connection.scalar(newest.limit(1))
    return {} if newest_metadata is None else newest_metadata
