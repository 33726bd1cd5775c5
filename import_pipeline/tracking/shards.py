"""Every statement on shards: the places of the further runs that enrich an import beside the one that carries it out.

A place is asked for, taken, and given back or lost. As everywhere in the ledger, the import's row is locked first.
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
    """One shard as the database has it; times are aware UTC."""

    import_id: int
    number: int  #: from 2 on: the run that carries out the import is the first worker
    fence: int
    worker: str | None
    host: str | None
    pid: int | None  #: None: nobody works as this shard
    process_began: int | None
    dagster_run_id: str | None
    run_requested_at: datetime | None
    launches: int  #: runs asked for since one left in order
    started_at: datetime | None
    heartbeat_at: datetime | None
    heartbeat_monotonic: float | None
    ended_at: datetime | None  #: it has nothing more to do
    requests_count: int
    rate_limit_hits_count: int


def of_import(connection: Connection, import_id: int) -> list[ShardRow]:
    """The import's shards that were ever asked for, by number."""
    found = connection.execute(select(shards).where(shards.c.import_id == import_id).order_by(shards.c.number))
    return [ShardRow(**row._mapping) for row in found]


def left_behind(connection: Connection, source: str) -> list[ShardRow]:
    """Shards of the source's ended imports whose worker has not given its place back."""
    # No join: it may begin with all imports that the source ever had.
    ended = select(table.c.id).where(
        table.c.id == shards.c.import_id, table.c.source == source, table.c.status.in_(ENDED)
    )
    held = select(shards).where(shards.c.pid.is_not(None), ended.exists())
    return [ShardRow(**row._mapping) for row in connection.execute(held)]


def ask(connection: Connection, import_id: int, number: int, now: datetime, seen: ShardRow | None) -> bool:
    """The right to ask for a run of the shard; False where somebody has asked since it was seen, or works as it."""
    if seen is None:
        new = insert_into(connection, shards).values(
            import_id=import_id, number=number, run_requested_at=now, launches=1
        )
        return connection.execute(new.on_conflict_do_nothing()).rowcount == 1
    free = (_is(seen), shards.c.pid.is_(None), shards.c.ended_at.is_(None), shards.c.launches == seen.launches)
    asked = update(shards).where(*free).values(run_requested_at=now, launches=shards.c.launches + 1)
    return connection.execute(asked).rowcount == 1


def begin(
    connection: Connection, import_id: int, number: int, worker: Worker, now: datetime, run_id: str | None
) -> ShardRow | None:
    """Take the shard's place, for this worker; None where somebody works as it, or it has nothing more to do."""
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
    """A shard's heartbeat: renews its lease and its claims, adds its counters. Returns the import; raises LeaseLost."""
    counted = lease.guard().values(updated_at=now, **heartbeats.counter_sums(connection, pulse))
    if connection.execute(counted).rowcount != 1:
        raise lease.lost()
    add_to_shard(connection, lease, pulse.sent, heartbeat_at=now, heartbeat_monotonic=pulse.monotonic)
    leases.renew_claims(connection, lease, now)
    return imports.get(connection, lease.import_id)


def count_heartbeat_as_now(connection: Connection, seen: ShardRow, now: datetime) -> None:
    """Let a shard's heartbeat that lies after `now`, as a clock that was ahead has written it, count as one of then."""
    if seen.heartbeat_at is not None and seen.heartbeat_at > now:
        ahead = update(shards).where(_is(seen), shards.c.heartbeat_at == seen.heartbeat_at)
        connection.execute(ahead.values(heartbeat_at=now))


def settle(connection: Connection, lease: ShardLease, now: datetime, pulse: Pulse) -> None:
    """Count what was requested until the end, even where the import has ended before; not where the place is lost."""
    imports.lock(connection, lease.import_id)
    if add_to_shard(connection, lease, pulse.sent):
        counted = heartbeats.counter_sums(connection, pulse)
        connection.execute(update(table).where(table.c.id == lease.import_id).values(updated_at=now, **counted))


def leave(connection: Connection, lease: ShardLease, now: datetime, *, for_good: bool, in_order: bool) -> bool:
    """Give the place back and release what its worker holds; False where it was lost before.

    `for_good`: the shard has nothing more to do. `in_order`: that its worker goes is no sign of trouble.
    """
    imports.lock(connection, lease.import_id)
    values: dict[str, Any] = {"pid": None, "worker": None, "heartbeat_at": now}
    if for_good:
        values["ended_at"] = now
    if in_order:
        values["launches"] = 0
    if connection.execute(update(shards).where(lease.row()).values(values)).rowcount != 1:
        return False
    _release(connection, lease.import_id, lease.worker)
    return True


def bury(connection: Connection, seen: ShardRow) -> bool:
    """Take the place from a worker that is gone and release what it held; False where that has changed since."""
    imports.lock(connection, seen.import_id)
    gone = update(shards).where(_is(seen), shards.c.pid.is_not(None))
    if connection.execute(gone.values(fence=shards.c.fence + 1, pid=None, worker=None)).rowcount != 1:
        return False
    if seen.worker is not None:
        _release(connection, seen.import_id, seen.worker)
    return True


def _release(connection: Connection, import_id: int, worker: str) -> None:
    connection.execute(leases.released(import_id, statuses.c.claimed_by == worker))


def _is(seen: ShardRow) -> ColumnElement[bool]:
    """The row as it was seen: nobody has taken it since."""
    return and_(shards.c.import_id == seen.import_id, shards.c.number == seen.number, shards.c.fence == seen.fence)
