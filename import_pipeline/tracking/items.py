"""What the ledger can tell of an import's items; every statement walks an index."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.tables import import_item_statuses as statuses

#: What is not completed, named so that an index leads to it.
UNDONE = (ItemStatus.PENDING, ItemStatus.PROCESSING, ItemStatus.FAILED)
#: Of so many items it is looked up whether a later import has imported them.
MOST_COMPARED = 5_000
#: Where an item row's metadata keep the answer by which it failed.
PAYLOAD = "payload"


@dataclass(frozen=True, kw_only=True)
class FailedItem:
    """A failed item as people want to see it."""

    external_id: str
    reason: str
    failure_count: int
    last_failed_at: datetime | None
    next_attempt_at: datetime | None
    payload: str | None = None  #: the beginning of the answer, where the source keeps it


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """What is left to do of an import."""

    pending: int
    processing: int
    waiting: int  #: failed, with a next attempt
    next_attempt_at: datetime | None  #: the earliest of those

    @property
    def unfinished(self) -> int:
        """Items that are neither completed nor failed for good."""
        return self.pending + self.processing + self.waiting


def remaining(connection: Connection, import_id: int) -> Remaining:
    """What is left to do. Counted along an index, each status for itself: that is several times cheaper than groups."""
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
    """The item rows that a retry of the import takes over: not completed, and not by a later import either.

    The rows' own numbers tell what came later: an import of a slot has its number long before it begins, and clocks are
    set.
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
        .limit(1)  # without it Postgres reads the whole table once, instead of a few rows for each item
        .scalar_subquery()
    )
    return and_(statuses.c.import_id == import_id, statuses.c.status.in_(UNDONE), since.is_(None))


def unfinished(connection: Connection, import_id: int) -> int:
    """How many items the import has left, failed or never done, that no later one has imported.

    Where they are very many, those that were imported since are counted too: this is asked for by those who look.
    """
    undone = (statuses.c.import_id == import_id, statuses.c.status.in_(UNDONE))
    number = connection.scalar(select(func.count()).where(*undone)) or 0
    if not 0 < number <= MOST_COMPARED:
        return number
    return connection.scalar(select(func.count()).select_from(statuses).where(left_by(import_id))) or 0


def count(connection: Connection, import_id: int) -> int:
    """How many items this import knows of."""
    return connection.scalar(select(func.count()).where(statuses.c.import_id == import_id)) or 0


def failures(connection: Connection, import_id: int, limit: int = 100) -> list[FailedItem]:
    """The failed items: those that have failed permanently, then those that are tried again, the soonest first."""
    failed = select(statuses).where(statuses.c.import_id == import_id, statuses.c.status == ItemStatus.FAILED)
    in_order = failed.order_by(statuses.c.next_attempt_at, statuses.c.id)
    # One after the other along the index, instead of sorting what may be a million.
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


def close_failed(connection: Connection, import_id: int, failed_before: datetime) -> int:
    """Plan no further try of items whose last one is that long ago; returns how many. For imports without a worker."""
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
