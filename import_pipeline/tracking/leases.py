"""The lease of a worker, on an import or on a shard of it; it guards every write of the worker.

A process that was frozen and replaced meanwhile gets LeaseLost and changes nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Update, and_, bindparam, select, update

from import_pipeline.errors import LeaseLost
from import_pipeline.rules.sharding import LEAD
from import_pipeline.rules.status import ImportStatus, ItemStatus
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.tables import import_item_statuses, import_shards, imports


@dataclass(frozen=True, kw_only=True)
class Lease(ABC):
    """The right of one worker to write to one import, until another worker takes it over."""

    import_id: int
    fence: int  #: the fencing token, of the import or of the shard
    worker: str  #: the worker's id, as in `claimed_by`
    seconds: float  #: how long a claim holds without a renewal

    @property
    @abstractmethod
    def number(self) -> int:
        """The worker's number: LEAD, or the shard's."""

    @property
    def is_lead(self) -> bool:
        """True for the worker that leads the import."""
        return self.number == LEAD

    @abstractmethod
    def guard(self) -> Update:
        """Return an UPDATE of the import that finds no row once the lease is lost or the import has ended."""

    @abstractmethod
    def is_held(self, connection: Connection, *, to_write: bool) -> bool:
        """Lock the import's row, and return True if the lease still stands."""

    @abstractmethod
    def lost(self) -> LeaseLost:
        """Return the error for a lease that no longer stands."""

    @abstractmethod
    def heartbeat(self, now: datetime) -> dict[str, Any]:
        """Return the import's columns that each write of this worker sets as a sign of life."""


@dataclass(frozen=True, kw_only=True)
class ImportLease(Lease):
    """The lease of the worker that leads an import."""

    @property
    def number(self) -> int:
        """The lead's number."""
        return LEAD

    def guard(self) -> Update:
        """Return an UPDATE of the import as long as its fencing token is this lease's."""
        return update(imports).where(
            imports.c.id == self.import_id,
            imports.c.fence == self.fence,
            imports.c.status == ImportStatus.RUNNING,
        )

    def is_held(self, connection: Connection, *, to_write: bool) -> bool:
        """Lock the import's row, and return True if its fencing token is this lease's."""
        values = {"of_import": self.import_id, "of_fence": self.fence}
        return connection.scalar(_locking(of_shard=False, to_write=to_write), values) is not None

    def lost(self) -> LeaseLost:
        """Return the error for an import that has ended or has another worker."""
        return LeaseLost(f"import {self.import_id} has ended or was taken over by another process")

    def heartbeat(self, now: datetime) -> dict[str, Any]:
        """Return the import's own heartbeat."""
        return {"heartbeat_at": now}


def lease_without_worker(import_id: int, fence: int) -> ImportLease:
    """Return the lease with which a process that is no worker of a stalled import ends it."""
    return ImportLease(import_id=import_id, fence=fence, worker="", seconds=0)


@dataclass(frozen=True, kw_only=True)
class ShardLease(Lease):
    """The lease of a further worker, a shard of the import."""

    shard: int  #: the shard's number

    @property
    def number(self) -> int:
        """The shard's number."""
        return self.shard

    def row(self) -> ColumnElement[bool]:
        """Return the condition for the shard's row while the lease stands."""
        shards = import_shards
        return and_(
            shards.c.import_id == self.import_id,
            shards.c.number == self.shard,
            shards.c.fence == self.fence,
            shards.c.ended_at.is_(None),
        )

    def guard(self) -> Update:
        """Return an UPDATE of the import as long as the shard's fencing token is this lease's."""
        return update(imports).where(
            imports.c.id == self.import_id,
            select(import_shards.c.number).where(self.row()).exists(),
            imports.c.status == ImportStatus.RUNNING,
        )

    def is_held(self, connection: Connection, *, to_write: bool) -> bool:
        """Lock the import's row, then read the shard's: a worker that takes the shard locks the import first, too."""
        locked = connection.scalar(_locking(of_shard=True, to_write=to_write), {"of_import": self.import_id})
        return locked is not None and connection.scalar(select(import_shards.c.number).where(self.row())) is not None

    def lost(self) -> LeaseLost:
        """Return the error for a shard that has another worker, or whose import has ended."""
        what = f"shard {self.shard} of import {self.import_id}"
        return LeaseLost(f"{what} has ended or was taken over by another process")

    def heartbeat(self, now: datetime) -> dict[str, Any]:
        """Return nothing: a shard's heartbeat is in its own row."""
        return {}


def released(import_id: int, *which: ColumnElement[bool]) -> Update:
    """Return an UPDATE that makes claimed items pending again."""
    statuses = import_item_statuses
    return (
        update(statuses)
        .where(statuses.c.import_id == import_id, statuses.c.status == ItemStatus.PROCESSING, *which)
        .values(status=ItemStatus.PENDING, claimed_by=None, lease_expires_at=None)
    )


def hold(connection: Connection, lease: Lease, *, to_write: bool = False) -> None:
    """Confirm that the lease stands, and keep it so until the transaction ends. Raises LeaseLost.

    Pass `to_write` if the import's row will be written as well. It is locked before its items everywhere, since
    transactions that lock in different orders deadlock.
    """
    if not lease.is_held(connection, to_write=to_write):
        raise lease.lost()


@cache
def _locking(*, of_shard: bool, to_write: bool) -> Select[Any]:
    mine = select(imports.c.id).where(imports.c.id == bindparam("of_import"), imports.c.status == ImportStatus.RUNNING)
    if not of_shard:
        mine = mine.where(imports.c.fence == bindparam("of_fence"))
    return mine.with_for_update(read=not to_write, key_share=to_write)


def write(connection: Connection, lease: Lease, now: datetime, **values: Any) -> None:
    """Write columns of the lease's import, and the lead's heartbeat. Raises LeaseLost."""
    statement = lease.guard().values(updated_at=now, **lease.heartbeat(now), **values)
    if connection.execute(statement).rowcount != 1:
        raise lease.lost()


def held_claims(connection: Connection, lease: Lease) -> list[int]:
    """Return the ids of the item rows that the worker has claimed."""
    statuses = import_item_statuses
    mine = select(statuses.c.id).where(
        statuses.c.import_id == lease.import_id,
        statuses.c.status == ItemStatus.PROCESSING,
        statuses.c.claimed_by == lease.worker,
    )
    return list(connection.scalars(mine))


def release_claims(connection: Connection, lease: Lease, claims: Sequence[int]) -> None:
    """Release items to other workers, those of them that this worker still holds."""
    statuses = import_item_statuses
    for some in chunks(claims):
        mine = (statuses.c.id.in_(some), statuses.c.claimed_by == lease.worker)
        connection.execute(released(lease.import_id, *mine))


def renew_claims(connection: Connection, lease: Lease, now: datetime) -> None:
    """Renew the claims of the worker for another lease."""
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
