"""Reads of an import's item rows; every statement uses an index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select, update

from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import import_item_statuses as statuses

#: All statuses but completed, listed so that an index serves them.
UNDONE = (ItemStatus.PENDING, ItemStatus.PROCESSING, ItemStatus.FAILED)
#: Most items that are compared with later imports.
MOST_COMPARED = 5_000
#: Key of an item row's metadata: the response that failed the item.
PAYLOAD = "payload"


@dataclass(frozen=True, kw_only=True)
class FailedItem:
    """A failed item for display."""

    external_id: str
    reason: str
    failure_count: int
    last_failed_at: datetime | None
    next_attempt_at: datetime | None
    payload: str | None = None  #: the start of the response, if the source keeps it


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """The unfinished items of an import, by status."""

    pending: int
    processing: int
    waiting: int  #: failed, with a next attempt
    next_attempt_at: datetime | None  #: the earliest of the waiting items

    @property
    def unfinished(self) -> int:
        """Items that are neither completed nor failed permanently."""
        return self.pending + self.processing + self.waiting


def of_items(row: ImportRow, external_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for the import's rows of these items. It names each column of their unique index."""
    return (
        statuses.c.import_id == row.id,
        statuses.c.importable_type == row.importable_type,
        statuses.c.external_id.in_(external_ids),
    )


def remaining(connection: Connection, import_id: int) -> Remaining:
    """Count the unfinished items. One index scan per status is several times cheaper than a GROUP BY."""
    waiting = (statuses.c.status == ItemStatus.FAILED, statuses.c.next_attempt_at.is_not(None))
    counted = [
        select(what).where(statuses.c.import_id == import_id, *which).scalar_subquery()
        for what, which in (
            (func.count(), (statuses.c.status == ItemStatus.PENDING,)),
            (func.count(), (statuses.c.status == ItemStatus.PROCESSING,)),
            (func.count(), waiting),
            (func.min(statuses.c.next_attempt_at), waiting),
        )
    ]
    pending, processing, retries, next_attempt_at = connection.execute(select(*counted)).one()
    return Remaining(pending=pending, processing=processing, waiting=retries, next_attempt_at=next_attempt_at)


def left_by(import_id: int) -> ColumnElement[bool]:
    """Return the condition for the item rows that a retry of the import takes over: completed neither by it nor later.

    The rows' ids order them: an import of a slot has its id long before its start, and clocks are set.
    """
    later = statuses.alias("later")
    since = (
        select(later.c.id)
        .where(
            later.c.importable_type == statuses.c.importable_type,
            later.c.external_id == statuses.c.external_id,
            later.c.id > statuses.c.id,
            later.c.status == ItemStatus.COMPLETED,
        )
        .limit(1)  # without it Postgres reads the whole table once, instead of a few rows per item
        .scalar_subquery()
    )
    return and_(statuses.c.import_id == import_id, statuses.c.status.in_(UNDONE), since.is_(None))


def unfinished(connection: Connection, import_id: int) -> int:
    """Count the items that failed or were never done, and that no later import has imported.

    Above MOST_COMPARED, items that were imported later count too: displays call this often.
    """
    undone = (statuses.c.import_id == import_id, statuses.c.status.in_(UNDONE))
    number = connection.scalar(select(func.count()).where(*undone)) or 0
    if not 0 < number <= MOST_COMPARED:
        return number
    return connection.scalar(select(func.count()).select_from(statuses).where(left_by(import_id))) or 0


def count(connection: Connection, import_id: int) -> int:
    """Count the items that the import knows."""
    return connection.scalar(select(func.count()).where(statuses.c.import_id == import_id)) or 0


def failures(connection: Connection, import_id: int, limit: int = 100, *, left: bool = False) -> list[FailedItem]:
    """Return the failed items: permanently failed ones, then those that are tried again, the soonest first.

    `left`: only those that no later import has imported.
    """
    failed = select(statuses).where(statuses.c.import_id == import_id, statuses.c.status == ItemStatus.FAILED)
    if left:
        failed = failed.where(left_by(import_id))
    in_order = failed.order_by(statuses.c.next_attempt_at, statuses.c.id)
    # Two index scans, instead of sorting up to a million rows.
    rows = list(connection.execute(in_order.where(statuses.c.next_attempt_at.is_(None)).limit(limit)))
    if len(rows) < limit:
        rows += connection.execute(in_order.where(statuses.c.next_attempt_at.is_not(None)).limit(limit - len(rows)))
    return [
        FailedItem(
            external_id=row.external_id,
            reason=row.failure_reason or "",
            failure_count=row.failure_count,
            last_failed_at=row.last_failed_at,
            next_attempt_at=row.next_attempt_at,
            payload=row.metadata.get(PAYLOAD),
        )
        for row in rows
    ]


def failed_alike(connection: Connection, import_id: int, external_id: str, limit: int) -> list[str]:
    """Return the items that the import left failed for the same reason as this one, this one included."""
    reason = (
        select(statuses.c.failure_reason)
        .where(statuses.c.import_id == import_id, statuses.c.external_id == external_id)
        .scalar_subquery()
    )
    alike = (left_by(import_id), statuses.c.status == ItemStatus.FAILED, statuses.c.failure_reason == reason)
    return list(connection.scalars(select(statuses.c.external_id).where(*alike).order_by(statuses.c.id).limit(limit)))


def replace_metadata(connection: Connection, kept: Mapping[int, Mapping[str, str]]) -> None:
    """Replace the metadata of item rows, by their ids."""
    if kept:
        statement = update(statuses).where(statuses.c.id == bindparam("of_status")).values(metadata=bindparam("kept"))
        connection.execute(statement, [{"of_status": key, "kept": dict(facts)} for key, facts in kept.items()])


def close_failed(connection: Connection, import_id: int, failed_before: datetime) -> int:
    """Let items fail permanently whose last try is that long ago, and return their number. For stalled imports."""
    statement = (
        update(statuses)
        .where(
            statuses.c.import_id == import_id,
            statuses.c.status == ItemStatus.FAILED,
            statuses.c.next_attempt_at.is_not(None),
            statuses.c.last_failed_at < failed_before,
        )
        .values(next_attempt_at=None)
    )
    return connection.execute(statement).rowcount
