"""Heartbeats of an import, and the gaps in which no worker worked on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from import_pipeline.rules.progress import elapsed_seconds
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking.counters import CounterDelta, sums
from import_pipeline.tracking.imports import ImportRow, parse_row
from import_pipeline.tracking.leases import Lease, lease_without_worker, renew_claims, write
from import_pipeline.tracking.tables import import_shards, imports


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """The figures that a heartbeat stores: requests to add, and the sleeps since the import began."""

    sent: CounterDelta = field(default_factory=CounterDelta)
    sleeps: int = 0
    slept_seconds: float = 0.0
    blocked_until: datetime | None = None
    elapsed: float | None = None  #: seconds since the previous beat, by the monotonic clock
    monotonic: float | None = None  #: the same clock now


def elapsed_until(found: ImportRow, now: datetime) -> float:
    """Return the seconds that a stalled import has taken until now."""
    return elapsed_seconds(
        found.elapsed_seconds,
        started_at=found.started_at,
        heard_at=found.heartbeat_at,
        until=now,
        is_running=True,
        has_worker=False,
    )


def stalled_metadata(connection: Connection, found: ImportRow) -> dict[str, Any]:
    """Return the metadata of a stalled import, with the moment at which work on it stopped."""
    return found.metadata_with(resumed_after=stalled_since(connection, found))


def stalled_since(connection: Connection, found: ImportRow) -> datetime:
    """Return the moment at which work on a stalled import stopped."""
    shards = import_shards
    latest = select(func.max(shards.c.heartbeat_at)).where(shards.c.import_id == found.id)
    return last_activity(found, connection.scalar(latest))


def last_activity(found: ImportRow, of_shards: datetime | None) -> datetime:
    """Return the last moment of work on a running import. `of_shards`: the last heartbeat of a shard.

    It is the last heartbeat of its worker or of a shard, or the end of a pause that the API requested: a pause counts
    as sleep.
    """
    if uncounted := found.facts.resumed_after:
        return max(filter(None, (uncounted, of_shards)))
    heard_at = found.heartbeat_at or found.started_at or found.created_at
    return max(filter(None, (heard_at, found.blocked_until, of_shards)))


def beat(connection: Connection, lease: Lease, now: datetime, pulse: Pulse) -> ImportRow:
    """Renew the lease of the import and of its claims, and add the counters. Return the row; raise LeaseLost."""
    row = connection.execute(
        lease.guard()
        .values(
            heartbeat_at=now,
            updated_at=now,
            blocked_until=pulse.blocked_until,
            **clock_values(pulse),
            **counter_sums(connection, pulse),
        )
        .returning(imports)
    ).one_or_none()
    if row is None:
        raise lease.lost()
    renew_claims(connection, lease, now)
    return parse_row(row)


def unblock(connection: Connection, sources: Sequence[str], now: datetime) -> dict[int, datetime]:
    """End the pause that these sources' running imports wait for. Return its former end by the import's id."""
    waiting = (imports.c.source.in_(sources), imports.c.status == ImportStatus.RUNNING, imports.c.blocked_until > now)
    # Locked: of two calls at the same moment, the second finds no waiting import.
    seen = select(imports.c.id, imports.c.blocked_until).where(*waiting).order_by(imports.c.id)
    found = {row.id: row.blocked_until for row in connection.execute(seen.with_for_update(key_share=True))}
    connection.execute(update(imports).where(imports.c.id.in_(found)).values(blocked_until=None, updated_at=now))
    return found


def clock_values(pulse: Pulse) -> dict[str, Any]:
    """Return the columns that the lead's beat sets by its monotonic clock, for an UPDATE."""
    values: dict[str, Any] = {"heartbeat_monotonic": pulse.monotonic}
    if pulse.elapsed is not None:
        values["elapsed_seconds"] = func.coalesce(imports.c.elapsed_seconds, 0.0) + max(0.0, pulse.elapsed)
    return values


def counter_sums(connection: Connection, pulse: Pulse) -> dict[str, Any]:
    """Return the import's counters with the pulse added, for an UPDATE."""
    return sums(pulse.sent) | {
        "rate_limit_sleeps_count": _greatest(connection, imports.c.rate_limit_sleeps_count, pulse.sleeps),
        "total_sleep_seconds": _greatest(connection, imports.c.total_sleep_seconds, pulse.slept_seconds),
    }


def _greatest(connection: Connection, *values: Any) -> Any:
    # SQLite's max() of several arguments is greatest() elsewhere.
    return func.max(*values) if connection.dialect.name == "sqlite" else func.greatest(*values)


def count_heartbeat_as_now(connection: Connection, found: ImportRow, now: datetime) -> bool:
    """Move a heartbeat from the future, written by a clock that was ahead, to now: then its lease can end.

    A pause moves along with it. Return False if the heartbeat has changed since it was read.
    """
    if found.heartbeat_at is None or found.heartbeat_at <= now:
        return False
    ahead = found.heartbeat_at - now
    as_seen = (imports.c.id == found.id, imports.c.fence == found.fence, imports.c.heartbeat_at == found.heartbeat_at)
    until = None if found.blocked_until is None else found.blocked_until - ahead
    statement = update(imports).where(*as_seen, imports.c.status == ImportStatus.RUNNING)
    return connection.execute(statement.values(heartbeat_at=now, blocked_until=until, updated_at=now)).rowcount == 1


def count_gap(connection: Connection, found: ImportRow, now: datetime) -> None:
    """Add the time since the last heartbeat of a stalled import, before another process ends it."""
    lease = lease_without_worker(found.id, found.fence)
    write(connection, lease, now, elapsed_seconds=elapsed_until(found, now))
