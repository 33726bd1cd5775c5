"""Who works on an import at once, and who of them has the last word."""

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import liveness, silent_seconds
from import_pipeline.importer.runtime.context import Work
from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.sharding import LEAD, Turn, turn_of
from import_pipeline.rules.status import ImportKind
from import_pipeline.tracking import imports, shards
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.shards import ShardRow
from import_pipeline.tracking.workers import is_alive

#: Seconds between two looks at those who still work.
LOOK_SECONDS = 0.1
#: How long a cancelled import waits for its workers; each reads the wish within a second.
FAREWELL_SECONDS = 1.6


def workers_of(row: ImportRow, source: ImportSource) -> int:
    """How many runs are to work on the import at once: as it was asked for, as it began, or as its source says."""
    if row.kind is ImportKind.DISCOVERY:
        return 1
    return int(row.metadata.get("shards", source.shards))


def shard_liveness(shard: ShardRow, lease_seconds: float, monotonic: float | None = None) -> Liveness | None:
    """What can be told from here of a shard's worker; None where it has none."""
    if shard.pid is None or shard.host is None or shard.heartbeat_at is None:
        return None
    return Liveness(
        heartbeat_at=shard.heartbeat_at,
        lease_seconds=lease_seconds,
        has_owner=True,
        process_alive=is_alive(shard.host, shard.pid, seen_at=shard.heartbeat_at, process_began=shard.process_began),
        silent_seconds=silent_seconds(shard.host, shard.heartbeat_monotonic, monotonic),
    )


def living(
    connection: Connection, import_id: int, lease_seconds: float, now: datetime, monotonic: float | None = None
) -> dict[int, bool]:
    """Worker's number -> whether it lives and has not left."""
    row = imports.get(connection, import_id)
    return {
        LEAD: not liveness(row, lease_seconds, monotonic).is_dead(now),
        **living_shards(connection, import_id, lease_seconds, now, monotonic),
    }


def living_shards(
    connection: Connection, import_id: int, lease_seconds: float, now: datetime, monotonic: float | None = None
) -> dict[int, bool]:
    """Shard's number -> whether it lives and has not left."""
    found = {}
    for shard in shards.of_import(connection, import_id):
        alive = shard_liveness(shard, lease_seconds, monotonic)
        found[shard.number] = alive is not None and not alive.is_dead(now)
    return found


async def outlast(work: Work, seats: Callable[[], Collection[int]] | None = None) -> Turn:
    """With nothing left to do: wait for the others where this worker has the last word; never WAIT.

    `seats` gives the numbers that this worker has now; without it there is the one of its lease.
    """
    while not work.stop.asked.is_set():
        others = await work.write(living, work.row.id, work.lease.seconds, work.clock.now(), work.clock.monotonic())
        turn = turn_of([work.lease.shard or LEAD] if seats is None else seats(), others)
        if turn is not Turn.WAIT:
            return turn
        await work.clock.sleep(LOOK_SECONDS)
    return Turn.LEAVE


async def last_word(
    installation: Installation, row: ImportRow, lease: Lease, seats: Collection[int] | None = None
) -> Turn:
    """After a wish to cancel: give the others the moment that they need to leave; END also where they do not."""
    clock = installation.clock
    until = clock.monotonic() + FAREWELL_SECONDS
    while clock.monotonic() < until:
        with installation.database.read() as connection:
            others = living(connection, row.id, lease.seconds, clock.now(), clock.monotonic())
        turn = turn_of(seats or [lease.shard or LEAD], others)
        if turn is not Turn.WAIT:
            return turn
        await clock.sleep(LOOK_SECONDS)
    return Turn.END
