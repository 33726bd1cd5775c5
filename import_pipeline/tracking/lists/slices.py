"""Slices, the ledger of an import with many lists: add, claim, fail, count.

Only the lead reads slices. A claim is the lead's fencing token in the row: it holds as long as the lead does, and a
later lead takes the slice at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, update

from import_pipeline.rules.lists.read_state import ReadState
from import_pipeline.rules.lists.slice_keys import SliceOutcome
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking import items
from import_pipeline.tracking.counters import NOTHING, CounterDelta, sums
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.leases import Lease, hold, write
from import_pipeline.tracking.lists.list_rows import ListRow
from import_pipeline.tracking.lists.slice_parts import add_parts
from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.lists.slice_table import was_read_whole
from import_pipeline.tracking.tables import imports


@dataclass(frozen=True, kw_only=True)
class SliceClaim:
    """A slice that the lead has claimed."""

    id: int
    key: str
    failure_count: int  #: tries that failed since its last stored page
    checkpoint: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class SlicesLeft:
    """The slices that are not read yet."""

    pending: int
    waiting: int  #: failed, with a next attempt
    next_attempt_at: datetime | None  #: the earliest of those


@dataclass(frozen=True, kw_only=True)
class FailedSlice:
    """A slice that failed, or whose end is doubtful, for displays."""

    key: str
    reason: str
    failure_count: int
    next_attempt_at: datetime | None
    is_read: bool  #: it was read to an end that is doubtful


def add(connection: Connection, lease: Lease, keys: Sequence[str], now: datetime, checkpoint: Mapping[str, Any]) -> int:
    """Add slices that the import does not know yet, and store its checkpoint. Return their number. Raises LeaseLost."""
    hold(connection, lease, to_write=True)
    added = 0
    if unique := list(dict.fromkeys(keys)):
        statement = insert_into(connection, slices).on_conflict_do_nothing(index_elements=["import_id", "key"])
        rows = [{"import_id": lease.import_id, "key": key} for key in unique]
        added = len(connection.execute(statement.returning(slices.c.id), rows).all())
    count = func.coalesce(imports.c.slices_count, 0) + added
    write(connection, lease, now, checkpoint=dict(checkpoint), slices_count=count)
    return added


def begin(connection: Connection, lease: Lease, now: datetime, checkpoint: Mapping[str, Any]) -> None:
    """Store the checkpoint of an import that has read no slice; slices of another parent are forgotten.

    Raises LeaseLost.
    """
    hold(connection, lease, to_write=True)
    connection.execute(slices.delete().where(slices.c.import_id == lease.import_id))
    nothing = {"slices_count": 0, "slices_completed_count": 0, "slices_failed_count": 0}
    write(connection, lease, now, checkpoint=dict(checkpoint), **nothing)


def end(connection: Connection, lease: Lease, now: datetime, checkpoint: Mapping[str, Any]) -> None:
    """Store the checkpoint of an import whose slices are read, and its number of items. Raises LeaseLost."""
    write(connection, lease, now, checkpoint=dict(checkpoint), items_count=items.count(connection, lease.import_id))


def claim(connection: Connection, lease: Lease, limit: int, now: datetime) -> list[SliceClaim]:
    """Claim up to `limit` slices: those of an earlier lead first, then due retries, then pending ones.

    Raises LeaseLost.
    """
    hold(connection, lease)
    claimed: list[SliceClaim] = []
    for condition in (
        and_(slices.c.status == ItemStatus.PROCESSING, slices.c.fence != lease.fence),
        and_(
            slices.c.status == ItemStatus.FAILED,
            slices.c.next_attempt_at.is_not(None),
            # A failure in the future shows that the clock was set back: its next try could be hours away.
            or_(slices.c.next_attempt_at <= now, slices.c.last_failed_at > now),
        ),
        slices.c.status == ItemStatus.PENDING,
    ):
        if len(claimed) < limit:
            claimed += _take(connection, lease, condition, limit - len(claimed))
    return claimed


def _take(connection: Connection, lease: Lease, condition: ColumnElement[bool], limit: int) -> list[SliceClaim]:
    free = (
        select(slices.c.id)
        .where(slices.c.import_id == lease.import_id, condition)
        .order_by(slices.c.next_attempt_at, slices.c.id)
        .limit(limit)
        .scalar_subquery()
    )
    taken = (
        update(slices)
        .where(slices.c.id.in_(free))
        .values(status=ItemStatus.PROCESSING, fence=lease.fence, next_attempt_at=None)
        .returning(slices.c.id, slices.c.key, slices.c.failure_count, slices.c.checkpoint)
    )
    rows = connection.execute(taken)
    found = [
        SliceClaim(id=row.id, key=row.key, failure_count=row.failure_count, checkpoint=row.checkpoint) for row in rows
    ]
    return sorted(found, key=lambda each: each.id)


@dataclass
class SliceRow(ListRow):
    """The row of a claimed slice, which keeps the checkpoint of the slice's list."""

    id: int
    key: str
    failures: int = 0  #: tries that failed since the last stored page
    is_lasting: bool = True
    is_partial: bool = False
    is_whole: bool = False  #: it is read whole, although the import reads what changed
    parts: Sequence[str] = ()

    def advance(
        self,
        connection: Connection,
        lease: Lease,
        now: datetime,
        checkpoint: Mapping[str, Any],
        *,
        total: int | None,
        new: int,
        counts: CounterDelta = NOTHING,
    ) -> None:
        """Store the checkpoint after a page with `new` items, and counts of the import. Failed tries are forgotten."""
        furthest = max(int(checkpoint["page"]), 0)
        page = func.max if connection.dialect.name == "sqlite" else func.greatest
        self._update(
            connection,
            lease,
            checkpoint=dict(checkpoint),
            page=page(slices.c.page, furthest),
            items_count=slices.c.items_count + new,
            failure_count=0,
            failure_reason=None,
        )
        self.failures = 0
        write(connection, lease, now, **sums(counts))

    def settle(
        self,
        connection: Connection,
        lease: Lease,
        now: datetime,
        checkpoint: Mapping[str, Any],
        count: int | None = None,
    ) -> None:
        """Replace the checkpoint; with `count`, the slice has been read to its end."""
        hold(connection, lease, to_write=True)
        if count is None:
            self._update(connection, lease, checkpoint=dict(checkpoint))
            return
        added, reason = 0, ReadState.read(checkpoint).incomplete_reason(count)
        if self.parts:
            is_whole = self.is_whole
            added, reason = add_parts(connection, lease.import_id, self.key, self.parts, is_whole=is_whole)
        self._update(
            connection,
            lease,
            checkpoint=dict(checkpoint),
            status=ItemStatus.COMPLETED,
            completed_at=now,
            incomplete_reason=reason,
        )
        counts = {"slices_completed_count": imports.c.slices_completed_count + 1}
        write(connection, lease, now, slices_count=imports.c.slices_count + added, **counts)

    def count(self, connection: Connection, import_id: int) -> int:
        """Return the number of different items on the slice's pages."""
        return connection.scalar(select(slices.c.items_count).where(slices.c.id == self.id)) or 0

    def fail(
        self, connection: Connection, lease: Lease, now: datetime, reason: str, next_attempt_at: datetime | None
    ) -> None:
        """Store a failed try; without a next attempt, the slice has failed permanently. Raises LeaseLost."""
        hold(connection, lease, to_write=True)
        self._update(
            connection,
            lease,
            status=ItemStatus.FAILED,
            failure_count=self.failures,
            failure_reason=reason,
            last_failed_at=now,
            next_attempt_at=next_attempt_at,
        )
        if next_attempt_at is None:
            write(connection, lease, now, slices_failed_count=imports.c.slices_failed_count + 1)

    def _update(self, connection: Connection, lease: Lease, **values: Any) -> None:
        """Write the slice's row while this lead has claimed it. Raises LeaseLost."""
        mine = (slices.c.id == self.id, slices.c.fence == lease.fence, slices.c.status == ItemStatus.PROCESSING)
        if connection.execute(update(slices).where(*mine).values(**values)).rowcount != 1:
            raise lease.lost()


def left(connection: Connection, import_id: int) -> SlicesLeft:
    """Count the slices that are not read yet, without those that are claimed."""
    mine = slices.c.import_id == import_id
    waits = and_(mine, slices.c.status == ItemStatus.FAILED, slices.c.next_attempt_at.is_not(None))
    pending = connection.scalar(select(func.count()).where(mine, slices.c.status == ItemStatus.PENDING)) or 0
    waiting, first = connection.execute(select(func.count(), func.min(slices.c.next_attempt_at)).where(waits)).one()
    return SlicesLeft(pending=pending, waiting=waiting, next_attempt_at=first)


def outcome(connection: Connection, import_id: int) -> SliceOutcome:
    """Return the numbers of failed and of incomplete slices of the import, with the first reason of each."""
    mine = slices.c.import_id == import_id
    failed = and_(mine, slices.c.status == ItemStatus.FAILED)
    doubtful = and_(mine, slices.c.status == ItemStatus.COMPLETED, slices.c.incomplete_reason.is_not(None))
    found: dict[str, Any] = {"count": connection.scalar(select(func.count()).where(mine)) or 0}
    for name, which, reason in (
        ("failed", failed, slices.c.failure_reason),
        ("incomplete", doubtful, slices.c.incomplete_reason),
    ):
        found[name] = connection.scalar(select(func.count()).where(which)) or 0
        first = select(slices.c.key, reason).where(which).order_by(slices.c.id).limit(1)
        row = connection.execute(first).one_or_none() if found[name] else None
        found[f"first_{name}"] = None if row is None else (row[0], row[1] or "")
    return SliceOutcome(**found)


def read_states(connection: Connection, import_id: int) -> Iterator[ReadState]:
    """Yield the states of reading the slices that were begun, in their order."""
    begun = select(slices.c.checkpoint).where(slices.c.import_id == import_id, slices.c.checkpoint.is_not(None))
    with connection.execute(begun.order_by(slices.c.id).execution_options(yield_per=1000)) as rows:
        yield from map(ReadState.read, rows.scalars())


def failures(connection: Connection, import_id: int, limit: int = 100) -> list[FailedSlice]:
    """Return the slices that failed or whose end is doubtful, in the order of the slices."""
    which = or_(slices.c.status == ItemStatus.FAILED, slices.c.incomplete_reason.is_not(None))
    rows = select(slices).where(slices.c.import_id == import_id, which).order_by(slices.c.id).limit(limit)
    return [
        FailedSlice(
            key=row.key,
            reason=row.incomplete_reason or row.failure_reason or "",
            failure_count=row.failure_count,
            next_attempt_at=row.next_attempt_at,
            is_read=row.status == ItemStatus.COMPLETED,
        )
        for row in connection.execute(rows)
    ]


_FORGET = select(slices.c.id).where(
    slices.c.import_id == bindparam("of_import"),
    or_(
        was_read_whole(),
        slices.c.status.in_((ItemStatus.PENDING, ItemStatus.PROCESSING)),
    ),
)


def forget(connection: Connection, import_id: int, size: int) -> int:
    """Delete up to `size` slices of an ended import, except those that failed or are incomplete."""
    ids = list(connection.scalars(_FORGET.limit(size), {"of_import": import_id}))
    if ids:
        connection.execute(slices.delete().where(slices.c.id.in_(ids)))
    return len(ids)
