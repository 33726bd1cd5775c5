"""Supervise the shards of a source's running import: launch, relaunch, reclaim from dead workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.workers import shard_liveness, workers_of
from import_pipeline.rules.liveness import MAX_CLOCK_SKEW
from import_pipeline.rules.scheduling import RUN_START
from import_pipeline.rules.sharding import Reclaim, ShardedImport, ShardState, decide_shards
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import events, imports, shards
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.shards import ShardRow


@dataclass(frozen=True, kw_only=True)
class ShardLaunch:
    """A run of a shard to request."""

    import_id: int
    number: int


@dataclass(kw_only=True)
class ShardTick:
    """The result of a tick: shards to launch, and Dagster runs of dead workers to report as failed."""

    launches: list[ShardLaunch] = field(default_factory=list)
    dead_run_ids: list[str] = field(default_factory=list)


def supervise_shards(
    installation: Installation,
    source: ImportSource,
    is_queued: Callable[[int, int], bool] = lambda import_id, number: False,
) -> ShardTick:
    """Apply the rules to the shards of the running import, and reclaim dead shards of ended imports.

    `is_queued(import_id, number)`: True if a run of that shard is known that has not begun.
    """
    now, monotonic = installation.clock.now(), installation.clock.monotonic()
    with installation.database.read() as connection:
        row = imports.running(connection, source.name)
        behind = shards.unreleased(connection, source.name)
        shared = row if row is not None and workers_of(row, source) > 1 else None
        found = [] if shared is None else shards.of_import(connection, shared.id)
    # Dagster is queried before the transaction, since it may be slow.
    queued = {each.number for each in found if _is_overdue(each, now) and is_queued(each.import_id, each.number)}

    def unit(connection: Connection) -> ShardTick:
        result = ShardTick()
        for seen in behind:
            alive = shard_liveness(seen, source.lease, monotonic)
            if alive is not None and alive.is_dead(now):
                _reclaim(connection, seen, now, result)
        for seen in found:
            shards.count_heartbeat_as_now(connection, seen, now - MAX_CLOCK_SKEW)
        if shared is not None:
            _apply(connection, source, shared.id, queued, now, monotonic, result)
        return result

    return installation.transact(unit) if behind or shared is not None else ShardTick()


def _is_overdue(shard: ShardRow, now: datetime) -> bool:
    """Return True if a run was requested that should have begun by now."""
    asked = shard.run_requested_at
    return shard.pid is None and shard.ended_at is None and asked is not None and abs(now - asked) >= RUN_START


def _apply(
    connection: Connection,
    source: ImportSource,
    import_id: int,
    queued: set[int],
    now: datetime,
    monotonic: float,
    result: ShardTick,
) -> None:
    row = imports.get(connection, import_id)
    if row.status is not ImportStatus.RUNNING:
        return
    seen = {each.number: each for each in shards.of_import(connection, import_id)}
    waits = events.waits_for_store(connection, import_id) is not None
    states = _states(list(seen.values()), source, queued, monotonic)
    for decision in decide_shards(_sharded(row, source, waits_for_store=waits), states, now):
        number = decision.number
        if isinstance(decision, Reclaim):
            if _reclaim(connection, seen[number], now, result):
                seen[number] = replace(seen[number], fence=seen[number].fence + 1, pid=None)
        elif shards.request_run(connection, import_id, number, now, seen.get(number)):
            sentence = f"Shard {number} of {workers_of(row, source)} is requested."
            events.note(connection, import_id, now, "shard_requested", sentence)
            result.launches.append(ShardLaunch(import_id=import_id, number=number))


def _sharded(row: ImportRow, source: ImportSource, *, waits_for_store: bool) -> ShardedImport:
    done = row.items_done
    return ShardedImport(
        wanted=workers_of(row, source),
        is_listed=row.checkpoint is not None if source.overlap else row.read_state.complete,
        items_left=None if row.items_count is None else row.items_count - done,
        enough_for_one=source.concurrency,
        is_cancelled=row.cancel_requested_at is not None,
        blocked_until=row.blocked_until,
        waits_for_store=waits_for_store,
    )


def _states(found: Sequence[ShardRow], source: ImportSource, queued: set[int], monotonic: float) -> list[ShardState]:
    return [
        ShardState(
            number=each.number,
            launches=each.launches,
            run_requested_at=each.run_requested_at,
            run_is_queued=each.number in queued,
            has_ended=each.ended_at is not None,
            run_id=each.dagster_run_id,
            liveness=shard_liveness(each, source.lease, monotonic),
        )
        for each in found
    ]


def _reclaim(connection: Connection, seen: ShardRow, now: datetime, result: ShardTick) -> bool:
    """Reclaim the shard of a dead worker; its items return to the others. False if another process was faster."""
    if not shards.reclaim(connection, seen):
        return False
    sentence = f"Shard {seen.number} is dead (process {seen.pid} on {seen.host}); the others take over its items."
    events.note(connection, seen.import_id, now, "shard_lost", sentence)
    if seen.dagster_run_id is not None:
        result.dead_run_ids.append(seen.dagster_run_id)
    return True
