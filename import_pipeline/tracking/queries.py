"""Bounded reads of tracking rows for displays: pages of imports, failures by reason, times of finished items.

A read of an import with a million items costs no more than one with a thousand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, not_, select, union_all

from import_pipeline.rules.status import (
    DUE,
    DUE_FOR,
    OVERDUE,
    SCHEDULE_OFF,
    WHOLE_KINDS,
    WITH_FAILURES,
    ImportStatus,
    ItemStatus,
)
from import_pipeline.tracking import events, items, shards
from import_pipeline.tracking.heartbeats import last_activity
from import_pipeline.tracking.imports import ImportRow, get, rows
from import_pipeline.tracking.items import Remaining
from import_pipeline.tracking.schedules import held_back_clause, is_held_back
from import_pipeline.tracking.shards import ShardRow
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import import_requests, imports

#: Failed items that are grouped by reason; further ones are left out.
MOST_GROUPED = 5_000
#: Imports that bring a source up to date: neither of selected items, nor of the list only, nor of its first items.
WHOLE = and_(imports.c.kind.in_(sorted(WHOLE_KINDS)), imports.c.metadata["limit"].as_integer().is_(None))
#: Sort keys of a list.
SORTABLE: Mapping[str, ColumnElement[Any]] = {
    "id": imports.c.id,
    "source": imports.c.source,
    "status": imports.c.status,
    "scheduled": func.coalesce(imports.c.scheduled_at, imports.c.created_at),
    "items": func.coalesce(imports.c.items_count, -1),
    "failed": imports.c.items_failed_count,
    "hits": imports.c.rate_limit_hits_count,
    "sleeping": imports.c.total_sleep_seconds,
    "duration": func.coalesce(imports.c.elapsed_seconds, -1.0),  # of a running import, as of its latest heartbeat
}


@dataclass(frozen=True, kw_only=True)
class ImportSnapshot:
    """An import and the rows that displays derive its state from, as one transaction read them."""

    row: ImportRow
    shards: Sequence[ShardRow] = ()  #: its further workers, also former ones
    wait: events.Wait | None = None  #: the latest wait of a running import; it may be over
    is_held_back: bool = False  #: it waits for a slot, and the schedule of its source is off
    remaining: Remaining | None = None  #: its unfinished items; None if it is not running, or without history
    finished_at: Sequence[datetime] = ()  #: when its latest items were finished, roughly newest first

    @property
    def last_activity(self) -> datetime:
        """The last moment of work on it, by its worker or a shard."""
        heard = [shard.heartbeat_at for shard in self.shards if shard.heartbeat_at is not None]
        return last_activity(self.row, max(heard, default=None))


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A filter of imports; without values, all. `status` may also be `due`, a part of `scheduled`, or `overdue`."""

    source: str | None = None
    status: str | None = None
    ids: tuple[int, ...] | None = None

    def clauses(self, now: datetime) -> list[ColumnElement[bool]]:
        """Return the conditions of a WHERE."""
        found: list[ColumnElement[bool]] = []
        if self.source is not None:
            found.append(imports.c.source == self.source)
        if self.ids is not None:
            found.append(imports.c.id.in_(self.ids))
        at = imports.c.scheduled_at
        of_status = {
            OVERDUE: at < now - DUE_FOR,
            DUE: and_(at >= now - DUE_FOR, at < now),
            ImportStatus.SCHEDULED: at >= now - DUE_FOR,
        }
        if self.status in of_status:
            found += [imports.c.status == ImportStatus.SCHEDULED, of_status[self.status], not_(held_back_clause())]
        elif self.status == SCHEDULE_OFF:
            found.append(held_back_clause())
        elif self.status == WITH_FAILURES:
            found.append(imports.c.items_failed_count > 0)
        elif self.status is not None:
            found.append(imports.c.status == self.status)
        return found


def snapshot(
    connection: Connection, import_id: int, history: Callable[[ImportRow], int] | None = None
) -> ImportSnapshot:
    """Return an import with the rows that its displays need, in at most five statements. Raises ImportNotFound.

    `history`: the number of finish times that a forecast or chart of that row needs; None reads neither these nor the
    unfinished items. The statements read one state of the database within a transaction of `Database.read()`.
    """
    row = get(connection, import_id)
    found = row_snapshot(connection, row, all_shards=True)
    if history is None:
        return found
    wanted = history(row)
    return replace(
        found,
        remaining=items.remaining(connection, import_id) if row.status is ImportStatus.RUNNING else None,
        finished_at=finished_at(connection, import_id, wanted) if wanted else (),
    )


def row_snapshot(connection: Connection, row: ImportRow, *, all_shards: bool = False) -> ImportSnapshot:
    """Return the snapshot of a row of a list, without history: an ended import costs no statement.

    Shards are read of a running import, of any with `all_shards`.
    """
    is_running = row.status is ImportStatus.RUNNING
    return ImportSnapshot(
        row=row,
        shards=shards.of_import(connection, row.id) if is_running or all_shards else (),
        wait=events.latest_wait(connection, row.id) if is_running else None,
        is_held_back=is_held_back(connection, row),
    )


def find(
    connection: Connection,
    which: Filter,
    now: datetime,
    *,
    sort: str = "scheduled",
    descending: bool = True,
    limit: int = 25,
    offset: int = 0,
) -> list[ImportRow]:
    """Return a page of imports; `sort` is a key of SORTABLE. The order is stable: the id decides between equals."""
    column = SORTABLE[sort]
    order = (column.desc(), imports.c.id.desc()) if descending else (column.asc(), imports.c.id.asc())
    # Sort by few columns first, since whole rows are wide.
    page = select(imports.c.id).where(*which.clauses(now)).order_by(*order)
    if sort == "scheduled":
        page = _by_time(which.clauses(now), limit + offset, descending=descending)
    page = page.limit(limit).offset(offset)
    return rows(connection, select(imports).where(imports.c.id.in_(page)).order_by(*order))


def _by_time(clauses: Sequence[ColumnElement[bool]], most: int, *, descending: bool) -> Select[tuple[int]]:
    """Select the first `most` imports by time. Those with and without a scheduled time are read from two indexes.

    One expression over both times would sort the whole history.
    """

    def directed(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column.desc() if descending else column.asc()

    ends = []
    for at, is_it in (
        (imports.c.scheduled_at, imports.c.scheduled_at.is_not(None)),
        (imports.c.created_at, imports.c.scheduled_at.is_(None)),
    ):
        some = select(imports.c.id, at.label("at")).where(*clauses, is_it)
        ends.append(select(some.order_by(directed(at), directed(imports.c.id)).limit(most).subquery()))
    both = union_all(*ends).subquery()
    return select(both.c.id).order_by(directed(both.c.at), directed(both.c.id))


def count_imports(connection: Connection, which: Filter, now: datetime) -> int:
    """Return the number of matching imports."""
    return connection.scalar(select(func.count()).select_from(imports).where(*which.clauses(now))) or 0


def counts(connection: Connection, now: datetime) -> dict[tuple[str, str], int]:
    """Return (source, status) -> number of imports; `overdue` and `schedule is off` apart from `scheduled`."""
    grouped = select(imports.c.source, imports.c.status, func.count()).group_by(imports.c.source, imports.c.status)
    found = {(source, str(status)): int(number) for source, status, number in connection.execute(grouped)}
    for status in (OVERDUE, SCHEDULE_OFF):
        apart = select(imports.c.source, func.count()).where(*Filter(status=status).clauses(now))
        for source, number in connection.execute(apart.group_by(imports.c.source)):
            found[source, status] = number
            found[source, ImportStatus.SCHEDULED] -= number
    return found


def latest_completed(connection: Connection, source: str) -> datetime | None:
    """Return when a full or incremental import of the source last completed, or None."""
    statement = select(imports.c.ended_at).where(imports.c.source == source, *_completed())
    return connection.scalar(statement.order_by(imports.c.ended_at.desc()).limit(1))


def latest_completed_id(connection: Connection, source: str) -> int | None:
    """Return the id of the full or incremental import of the source that completed last, or None."""
    statement = select(imports.c.id).where(imports.c.source == source, *_completed())
    return connection.scalar(statement.order_by(imports.c.ended_at.desc(), imports.c.id.desc()).limit(1))


def latest_whole(connection: Connection, source: str) -> int | None:
    """Return the id of the full or incremental import of the source that began last, or None."""
    begun = select(imports.c.id).where(imports.c.source == source, imports.c.started_at.is_not(None), WHOLE)
    return connection.scalar(begun.order_by(imports.c.id.desc()).limit(1))


def _completed() -> tuple[ColumnElement[bool], ...]:
    return (imports.c.status == ImportStatus.COMPLETED, WHOLE)


def waiting_requests(connection: Connection) -> list[tuple[str, str, datetime]]:
    """Return (source, kind, time) of requests that wait for the sensor."""
    found = select(import_requests).where(import_requests.c.handled_at.is_(None)).order_by(import_requests.c.id)
    return [(row.source, row.wish, row.requested_at) for row in connection.execute(found.limit(20))]


def finished_at(connection: Connection, import_id: int, limit: int) -> list[datetime]:
    """Return when the latest items were finished, roughly newest first."""
    statement = (
        select(statuses.c.completed_at)
        .where(
            statuses.c.import_id == import_id,
            statuses.c.status == ItemStatus.COMPLETED,
            statuses.c.next_attempt_at.is_(None),
        )
        # Items are claimed in the order of ids. Both columns are named so that both databases use the index.
        .order_by(statuses.c.next_attempt_at.desc(), statuses.c.id.desc())
        .limit(limit)
    )
    return [moment for (moment,) in connection.execute(statement) if moment is not None]


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Items that failed for the same reason."""

    reason: str
    count: int
    waiting: int  #: those that will be retried
    next_attempt_at: datetime | None
    example: str  #: the external id of one of them


def failures_by_reason(connection: Connection, import_id: int, limit: int = 20) -> list[FailureGroup]:
    """Return the most frequent reasons among the first MOST_GROUPED failed items."""
    failed = (
        select(statuses.c.failure_reason, statuses.c.next_attempt_at, statuses.c.external_id)
        .where(statuses.c.import_id == import_id, statuses.c.status == ItemStatus.FAILED)
        .limit(MOST_GROUPED)
        .subquery()
    )
    number = func.count().label("number")
    grouped = (
        select(
            failed.c.failure_reason,
            number,
            func.count(failed.c.next_attempt_at).label("waiting"),
            func.min(failed.c.next_attempt_at).label("next_attempt_at"),
            func.min(failed.c.external_id).label("example"),
        )
        .group_by(failed.c.failure_reason)
        .order_by(number.desc(), failed.c.failure_reason)
        .limit(limit)
    )
    return [
        FailureGroup(
            reason=row.failure_reason or "",
            count=row.number,
            waiting=row.waiting,
            next_attempt_at=row.next_attempt_at,
            example=row.example,
        )
        for row in connection.execute(grouped)
    ]


def latest_started(connection: Connection, source: str) -> int | None:
    """Return the id of the source's import that began last, which may be running."""
    begun = select(imports.c.id).where(imports.c.source == source, imports.c.started_at.is_not(None))
    return connection.scalar(begun.order_by(imports.c.id.desc()).limit(1))
