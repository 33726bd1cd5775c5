"""A worker's lease of an import or of a shard: whatever it writes is guarded by it.

A process that was frozen and replaced meanwhile gets LeaseLost and changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Update, and_, bindparam, select, update

from import_pipeline.errors import LeaseLost
from import_pipeline.rules.status import ImportStatus, ItemStatus
from import_pipeline.tracking.tables import import_item_statuses, import_shards, imports


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right of one worker to write to one import, as long as nobody has taken it over."""

    import_id: int
    fence: int  #: the import's, or the shard's
    worker: str  #: the worker's id, as in `claimed_by`
    seconds: float  #: how long a claim holds without being renewed
    shard: int | None = None  #: the number of the shard that the worker is; None: it carries out the import itself


def released(import_id: int, *which: ColumnElement[bool]) -> Update:
    """An UPDATE that makes claimed items pending again."""
    statuses = import_item_statuses
    return (
        update(statuses)
        .where(statuses.c.import_id == import_id, statuses.c.status == ItemStatus.PROCESSING, *which)
        .values(status=ItemStatus.PENDING, claimed_by=None, lease_expires_at=None)
    )


def guarded(lease: Lease) -> Update:
    """An UPDATE of the lease's import that finds no row once another process has taken it over or it has ended."""
    return update(imports).where(
        imports.c.id == lease.import_id,
        imports.c.fence == lease.fence if lease.shard is None else _place(lease).exists(),
        imports.c.status == ImportStatus.RUNNING,
    )


def place_of(lease: Lease) -> ColumnElement[bool]:
    """The row of a shard's lease, as long as that stands."""
    shards = import_shards
    return and_(
        shards.c.import_id == lease.import_id,
        shards.c.number == lease.shard,
        shards.c.fence == lease.fence,
        shards.c.ended_at.is_(None),
    )


def _place(lease: Lease) -> Select[Any]:
    return select(import_shards.c.number).where(place_of(lease))


def hold(connection: Connection, lease: Lease, *, to_write: bool = False) -> None:
    """Make sure that the lease still stands, and that it does until the transaction ends; raises LeaseLost.

    Whoever will write the import's row too says so: the row is locked before its items everywhere, since two
    transactions that lock in different orders wait for each other.
    """
    values = {"of_import": lease.import_id} | ({"of_fence": lease.fence} if lease.shard is None else {})
    locked = connection.scalar(_holding(is_shard=lease.shard is not None, to_write=to_write), values)
    # A shard's own row is read after the lock: whoever takes its place locks the import first, too.
    if locked is None or (lease.shard is not None and connection.scalar(_place(lease)) is None):
        raise lost(lease)


@cache
def _holding(*, is_shard: bool, to_write: bool) -> Select[Any]:
    mine = select(imports.c.id).where(imports.c.id == bindparam("of_import"), imports.c.status == ImportStatus.RUNNING)
    if not is_shard:
        mine = mine.where(imports.c.fence == bindparam("of_fence"))
    return mine.with_for_update(read=not to_write, key_share=to_write)


def lost(lease: Lease) -> LeaseLost:
    """The error of a lease that no longer stands."""
    what = f"import {lease.import_id}" if lease.shard is None else f"shard {lease.shard} of import {lease.import_id}"
    return LeaseLost(f"{what} has ended or was taken over by another process")


def write(connection: Connection, lease: Lease, now: datetime, **values: Any) -> None:
    """Write those columns of the lease's import, and its heartbeat where that is the worker's; raises LeaseLost."""
    heartbeat = {} if lease.shard is not None else {"heartbeat_at": now}
    statement = guarded(lease).values(updated_at=now, **heartbeat, **values)
    if connection.execute(statement).rowcount != 1:
        raise lost(lease)


def held_claims(connection: Connection, lease: Lease) -> list[int]:
    """The item rows that the worker holds."""
    statuses = import_item_statuses
    mine = select(statuses.c.id).where(
        statuses.c.import_id == lease.import_id,
        statuses.c.status == ItemStatus.PROCESSING,
        statuses.c.claimed_by == lease.worker,
    )
    return list(connection.scalars(mine))


def give_back(connection: Connection, lease: Lease, claim: int) -> None:
    """Let others have an item at once, where the worker still holds it."""
    statuses = import_item_statuses
    connection.execute(released(lease.import_id, statuses.c.id == claim, statuses.c.claimed_by == lease.worker))


def renew_claims(connection: Connection, lease: Lease, now: datetime) -> None:
    """Let what the worker holds stay its own for another lease."""
    statuses = import_item_statuses
    connection.execute(
        update(statuses)
        .where(
            statuses.c.import_id == lease.import_id,
            statuses.c.status == ItemStatus.PROCESSING,
            statuses.c.claimed_by == lease.worker,
        )
        .values(lease_expires_at=now + timedelta(seconds=lease.seconds))
    )
