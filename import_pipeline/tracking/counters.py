"""The counters of an import's items and requests: they move in the transaction of the rows that they count."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, update

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking.leases import Lease, ShardLease, hold
from import_pipeline.tracking.tables import import_shards, imports


@dataclass(frozen=True, kw_only=True)
class CounterDelta:
    """Items and requests to add to the counters of an import. A negative count corrects an earlier one."""

    imported: int = 0
    unchanged: int = 0
    failed: int = 0  #: without a next attempt
    skipped: int = 0  #: the source does not import them
    gone: int = 0  #: the API no longer has them
    requests: int = 0
    hits: int = 0  #: refusals as too many among the requests

    def __add__(self, other: "CounterDelta") -> "CounterDelta":
        """Return the sum of both, count by count."""
        return CounterDelta(**{name: count + getattr(other, name) for name, count in vars(self).items()})

    def __sub__(self, other: "CounterDelta") -> "CounterDelta":
        """Return the difference of both, count by count."""
        return CounterDelta(**{name: count - getattr(other, name) for name, count in vars(self).items()})


NOTHING = CounterDelta()
_COLUMNS = {
    "imported": imports.c.items_imported_count,
    "unchanged": imports.c.items_unchanged_count,
    "failed": imports.c.items_failed_count,
    "skipped": imports.c.items_skipped_count,
    "gone": imports.c.items_gone_count,
    "requests": imports.c.requests_count,
    "hits": imports.c.rate_limit_hits_count,
}
# Built once, since every batch of items needs them.
_ADD_AS_SHARD = (
    update(imports)
    .where(imports.c.id == bindparam("of_import"), imports.c.status == ImportStatus.RUNNING)
    .values(
        updated_at=bindparam("now"),
        **{column.name: column + bindparam(name) for name, column in _COLUMNS.items()},
    )
)
_ADD = _ADD_AS_SHARD.where(imports.c.fence == bindparam("of_fence")).values(heartbeat_at=bindparam("now"))


def add(connection: Connection, lease: Lease, now: datetime, delta: CounterDelta) -> None:
    """Add to the counters of the lease's import, and lock its row until the transaction ends. Raises LeaseLost."""
    values: dict[str, Any] = {"of_import": lease.import_id, "now": now, **vars(delta)}
    if isinstance(lease, ShardLease):
        hold(connection, lease, to_write=True)
        connection.execute(_ADD_AS_SHARD, values)
        if delta.imported or delta.unchanged or delta.skipped or delta.gone:
            add_to_shard(connection, lease, delta, launches=1)  # progress: earlier runs no longer count as launches
        elif delta.requests:
            add_to_shard(connection, lease, delta)
    elif connection.execute(_ADD, {**values, "of_fence": lease.fence}).rowcount != 1:
        raise lease.lost()


def sums(delta: CounterDelta) -> dict[str, Any]:
    """Return the columns of the import with the delta added, for an UPDATE that sets other columns as well."""
    counts = vars(delta)
    return {column.name: column + counts[name] for name, column in _COLUMNS.items() if counts[name]}


def add_to_shard(connection: Connection, lease: ShardLease, delta: CounterDelta, **values: Any) -> bool:
    """Add the requests to the shard's own counters, and set `values`. Return False if the lease is lost.

    The caller locks the import's row before.
    """
    shards = import_shards
    added = (
        update(shards)
        .where(lease.row())
        .values(
            requests_count=shards.c.requests_count + delta.requests,
            rate_limit_hits_count=shards.c.rate_limit_hits_count + delta.hits,
            **values,
        )
    )
    return connection.execute(added).rowcount == 1
