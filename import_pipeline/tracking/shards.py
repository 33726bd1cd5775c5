"""Statements on shards: further workers that enrich an import beside its lead.

A shard is requested, acquired, and released or reclaimed. As everywhere, the import's row is locked first.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from import_pipeline.rules.status import ENDED
from import_pipeline.tracking import heartbeats, imports, leases
from import_pipeline.tracking.counters import add_to_shard
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import ShardLease
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import import_shards as shards
from import_pipeline.tracking.tables import imports as table
from import_pipeline.tracking.workers import Worker


@dataclass(frozen=True, kw_only=True)
class ShardRow:
    """One row of `import_shards`; times are aware UTC."""

    import_id: int
    number: int  #: from 2: the lead is worker 1
    fence: int
    worker: str | None
    host: str | None
    pid: int | None  #: None: it has no worker
    process_began: int | None
    dagster_run_id: str | None
    run_requested_at: datetime | None
    launches: int  #: runs requested since one was released in an orderly way
    started_at: datetime | None
    heartbeat_at: datetime | None
    heartbeat_monotonic: float | None
    ended_at: datetime | None  #: set once it has nothing left to do
    requests_count: int
    rate_limit_hits_count: int


def of_import(connection: Connection, import_id: int) -> list[ShardRow]:
    """Return the import's shards, by number."""
    found = connection.execute(select(shards).where(shards.c.import_id == import_id).order_by(shards.c.number))
    return [ShardRow(**row._mapping) for row in found]


def unreleased(connection: Connection, source: str) -> list[ShardRow]:
    """Return shards of the source's ended imports that their worker has not released."""
    # No join: it may start with all imports that the source ever had.
    ended = select(table.c.id).where(
        table.c.id == shards.c.import_id, table.c.source == source, table.c.status.in_(ENDED)
    )
    held = select(shards).where(shards.c.pid.is_not(None), ended.exists())
    return [ShardRow(**row._mapping) for row in connection.execute(held)]


def request_run(connection: Connection, import_id: int, number: int, now: datetime, seen: ShardRow | None) -> bool:
    """Record that a run of the shard is requested. Return False if another process did so, or works as the shard."""
    if seen is None:
        new = insert_into(connection, shards).values(
            import_id=import_id, number=number, run_requested_at=now, launches=1
        )
        return connection.execute(new.on_conflict_do_nothing()).rowcount == 1
    free = (_is(seen), shards.c.pid.is_(None), shards.c.ended_at.is_(None), shards.c.launches == seen.launches)
    requested = update(shards).where(*free).values(run_requested_at=now, launches=shards.c.launches + 1)
    return connection.execute(requested).rowcount == 1


def acquire(
    connection: Connection, import_id: int, number: int, worker: Worker, now: datetime, run_id: str | None
) -> ShardRow | None:
    """Make this worker the shard's. Return None if the shard has a worker, or nothing left to do."""
    imports.lock(connection, import_id)
    owner = {
        "worker": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "process_began": worker.began,
        "dagster_run_id": run_id,
        "heartbeat_at": now,
        "heartbeat_monotonic": None,
    }
    new = insert_into(connection, shards).values(
        import_id=import_id, number=number, launches=1, fence=1, started_at=now, **owner
    )
    taken = new.on_conflict_do_update(
        index_elements=["import_id", "number"],
        set_={"fence": shards.c.fence + 1, "started_at": func.coalesce(shards.c.started_at, now), **owner},
        where=and_(shards.c.pid.is_(None), shards.c.ended_at.is_(None)),
    )
    row = connection.execute(taken.returning(shards)).one_or_none()
    return None if row is None else ShardRow(**row._mapping)


def beat(connection: Connection, lease: ShardLease, now: datetime, pulse: Pulse) -> ImportRow:
    """Renew the shard's lease and claims, and add its counters. Return the import's row. Raises LeaseLost."""
    counted = lease.guard().values(updated_at=now, **heartbeats.counter_sums(connection, pulse))
    if connection.execute(counted).rowcount != 1:
        raise lease.lost()
    add_to_shard(connection, lease, pulse.sent, heartbeat_at=now, heartbeat_monotonic=pulse.monotonic)
    leases.renew_claims(connection, lease, now)
    return imports.get(connection, lease.import_id)


def count_heartbeat_as_now(connection: Connection, seen: ShardRow, now: datetime) -> None:
    """Set a shard's heartbeat to `now` if it is later: a clock that was ahead wrote it."""
    if seen.heartbeat_at is not None and seen.heartbeat_at > now:
        ahead = update(shards).where(_is(seen), shards.c.heartbeat_at == seen.heartbeat_at)
        connection.execute(ahead.values(heartbeat_at=now))


def count_rest(connection: Connection, lease: ShardLease, now: datetime, pulse: Pulse) -> None:
    """Count the worker's last requests, even if the import has ended meanwhile; not if the shard was reclaimed."""
    imports.lock(connection, lease.import_id)
    if add_to_shard(connection, lease, pulse.sent):
        counted = heartbeats.counter_sums(connection, pulse)
        connection.execute(update(table).where(table.c.id == lease.import_id).values(updated_at=now, **counted))


def release(connection: Connection, lease: ShardLease, now: datetime, *, is_done: bool, in_order: bool) -> bool:
    """Release the shard and the items that its worker has claimed. Return False if it was reclaimed before.

    `is_done`: the shard has nothing left to do. `in_order`: its worker ended in an orderly way, so the next launch does
    not count.
    """
    imports.lock(connection, lease.import_id)
    values: dict[str, Any] = {"pid": None, "worker": None, "heartbeat_at": now}
    if is_done:
        values["ended_at"] = now
    if in_order:
        values["launches"] = 0
    if connection.execute(update(shards).where(lease.row()).values(values)).rowcount != 1:
        return False
    _release(connection, lease.import_id, lease.worker)
    return True


def reclaim(connection: Connection, seen: ShardRow) -> bool:
    """Take the shard from a dead worker and release its items. Return False if the shard has changed meanwhile."""
    imports.lock(connection, seen.import_id)
    reclaimed = update(shards).where(_is(seen), shards.c.pid.is_not(None))
    if connection.execute(reclaimed.values(fence=shards.c.fence + 1, pid=None, worker=None)).rowcount != 1:
        return False
    if seen.worker is not None:
        _release(connection, seen.import_id, seen.worker)
    return True


def _release(connection: Connection, import_id: int, worker: str) -> None:
    connection.execute(leases.released(import_id, statuses.c.claimed_by == worker))


def _is(seen: ShardRow) -> ColumnElement[bool]:
    """Return the condition that the row is as it was read: no worker has acquired it since."""
    return and_(shards.c.import_id == seen.import_id, shards.c.number == seen.number, shards.c.fence == seen.fence)
