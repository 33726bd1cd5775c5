"""The workers of an import, and which of them are alive."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.installation import Installation
from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.sharding import LEAD
from import_pipeline.rules.status import ImportKind
from import_pipeline.tracking import imports, shards
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.shards import ShardRow
from import_pipeline.tracking.workers import is_alive, machine


def workers_of(row: ImportRow, source: ImportSource) -> int:
    """Return how many workers share the import: as requested, as it began, or as its source says."""
    if row.kind is ImportKind.DISCOVERY:
        return 1
    return source.shards if row.options.shards is None else row.options.shards


def lease_seconds_of(source: ImportSource | None) -> float:
    """Return the lease of a source in seconds; the default if it is no longer listed."""
    return ImportSource.lease if source is None else source.lease


def has_living_worker(connection: Connection, installation: Installation, row: ImportRow, now: datetime) -> bool:
    """Return True if a worker of a running import is alive and has not left: its lead, or a shard."""
    lease_seconds = lease_seconds_of(installation.listed(row.source))
    return any(worker_states(connection, row.id, lease_seconds, now).values())


def shard_liveness(shard: ShardRow, lease_seconds: float, monotonic: float | None = None) -> Liveness | None:
    """Return what this host knows of a shard's worker; None if it has none."""
    if shard.pid is None or shard.host is None or shard.heartbeat_at is None:
        return None
    return Liveness(
        heartbeat_at=shard.heartbeat_at,
        lease_seconds=lease_seconds,
        has_owner=True,
        process_alive=is_alive(shard.host, shard.pid, seen_at=shard.heartbeat_at, process_began=shard.process_began),
        silent_seconds=silent_seconds(shard.host, shard.heartbeat_monotonic, monotonic),
    )


def worker_states(
    connection: Connection, import_id: int, lease_seconds: float, now: datetime, monotonic: float | None = None
) -> dict[int, bool]:
    """Return each worker's number -> True if it is alive and has not left."""
    row = imports.get(connection, import_id)
    return {
        LEAD: not liveness(row, lease_seconds, monotonic).is_dead(now),
        **living_shards(shards.of_import(connection, import_id), lease_seconds, now, monotonic),
    }


def living_shards(
    rows: Sequence[ShardRow], lease_seconds: float, now: datetime, monotonic: float | None = None
) -> dict[int, bool]:
    """Return each shard's number -> True if its worker is alive and has not left."""
    found = {}
    for shard in rows:
        alive = shard_liveness(shard, lease_seconds, monotonic)
        found[shard.number] = alive is not None and not alive.is_dead(now)
    return found


def liveness(row: ImportRow, lease_seconds: float, monotonic: float | None = None) -> Liveness:
    """Return what this host knows of a running import's worker. `monotonic` is that clock now, if known."""
    heartbeat_at = row.heartbeat_at or row.started_at or row.created_at
    alive = None
    if row.host is not None and row.pid is not None:
        alive = is_alive(row.host, row.pid, seen_at=heartbeat_at, process_began=row.process_began)
    return Liveness(
        heartbeat_at=heartbeat_at,
        lease_seconds=lease_seconds,
        has_owner=row.pid is not None,
        process_alive=alive,
        silent_seconds=silent_seconds(row.host, row.heartbeat_monotonic, monotonic),
    )


def silent_seconds(host: str | None, heard: float | None, monotonic: float | None) -> float | None:
    """Return the seconds since a heartbeat of a process of this host, by its monotonic clock; None if unknown."""
    if host != machine() or heard is None or monotonic is None or monotonic < heard:
        return None
    return monotonic - heard
