"""Events of an import: sentences for people, actions for programs."""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A wait of an import, as its latest event recorded it."""

    reason: str
    until: datetime | None  #: None: until the rate-limit store is back

    def is_over(self, now: datetime) -> bool:
        """Return True if its end has passed; a wait without an end lasts until the import's next event."""
        return self.until is not None and self.until <= now


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


def latest_wait(connection: Connection, import_id: int) -> Wait | None:
    """Return the wait that the import's latest event began; it may be over. Events of shards do not end a wait."""
    metadata = _latest_metadata(connection, import_id)
    if "reason" not in metadata:
        return None
    until = metadata["until"]
    return Wait(reason=metadata["reason"], until=None if until is None else datetime.fromisoformat(until))


def waits_for_store(connection: Connection, import_id: int) -> str | None:
    """Return why the import waits for the rate-limit store; None if it does not wait for it.

    It is the only wait without an end, so the latest event shows it.
    """
    wait = latest_wait(connection, import_id)
    return wait.reason if wait is not None and wait.until is None else None


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
