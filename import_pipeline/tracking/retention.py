"""Dropping item rows that nobody needs any more: import by import, in small batches along an index."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Exists, Select, delete, func, select

from import_pipeline.rules.status import ENDED, ItemStatus
from import_pipeline.tracking import events
from import_pipeline.tracking.tables import import_events, imports
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.user_rows.model_columns import chunks

#: The event of an import whose item rows are dropped; its metadata say how many, and why the kept ones failed.
PRUNED = "items_pruned"
#: Reasons in that summary at most, the most frequent ones first.
MOST_REASONS = 20
#: What is dropped: all but what failed.
DROPPED = (ItemStatus.COMPLETED, ItemStatus.PENDING, ItemStatus.PROCESSING)


def next_import(connection: Connection, ended_before: datetime, sources: Sequence[str] | None = None) -> int | None:
    """The oldest import that ended before, was not pruned yet and whose rows nothing needs any more.

    Of those sources only, where they are given.
    """
    old = _old(ended_before, sources).where(~_is_needed())
    found: int | None = connection.scalar(old.order_by(imports.c.id).limit(1))
    return found


def kept(connection: Connection, ended_before: datetime, sources: Sequence[str] | None = None) -> list[int]:
    """The imports as old as that whose rows stay: a retry that has not ended takes its items from them."""
    return list(connection.scalars(_old(ended_before, sources).where(_is_needed()).order_by(imports.c.id)))


def sources(connection: Connection) -> list[str]:
    """The names of all sources that ever had an import, listed by the settings or not."""
    return list(connection.scalars(select(imports.c.source).distinct().order_by(imports.c.source)))


def is_needed(connection: Connection, import_id: int) -> bool:
    """A retry that has not ended needs the rows of that import; it stays so until the transaction ends."""
    connection.execute(select(imports.c.id).where(imports.c.id == import_id).with_for_update(key_share=True))
    return bool(connection.scalar(select(imports.c.id).where(imports.c.id == import_id, _is_needed())))


def _is_needed() -> Exists:
    retries = imports.alias("retries")
    return select(retries.c.id).where(retries.c.retry_of == imports.c.id, retries.c.status.not_in(ENDED)).exists()


def _noted(import_id: int | ColumnElement[int]) -> Exists:
    done = (import_events.c.import_id == import_id, import_events.c.action == PRUNED)
    return select(import_events.c.id).where(*done).exists()


def _old(ended_before: datetime, sources: Sequence[str] | None) -> Select[Any]:
    old = select(imports.c.id).where(
        imports.c.status.in_(ENDED), imports.c.ended_at < ended_before, imports.c.started_at.is_not(None)
    )
    if sources is not None:
        old = old.where(imports.c.source.in_(sources))
    return old.where(~_noted(imports.c.id))


def drop_batch(connection: Connection, import_id: int, size: int) -> int:
    """Drop up to that many item rows of the import; failed ones stay. Returns how many it were."""
    dropped = 0
    for status in DROPPED:  # one after the other: each is a stretch of the index that serves claims
        batch = (
            select(statuses.c.id)
            .where(statuses.c.import_id == import_id, statuses.c.status == status)
            .order_by(statuses.c.next_attempt_at, statuses.c.id)
            .limit(size - dropped)
        )
        # Named one by one: for a subquery Postgres may prefer to read the whole table.
        for ids in chunks(list(connection.scalars(batch)) if dropped < size else []):
            dropped += connection.execute(delete(statuses).where(statuses.c.id.in_(ids))).rowcount
    return dropped


def conclude(connection: Connection, import_id: int, now: datetime) -> None:
    """Note that the import is pruned, with what its kept items failed of.

    Nothing is noted if the import was deleted, or pruned by another process, since it was looked at.
    """
    there = select(imports.c.id).where(imports.c.id == import_id).with_for_update(key_share=True)
    if connection.scalar(there) is None or connection.scalar(select(_noted(import_id))):
        return
    number = func.count()
    grouped = (
        select(statuses.c.failure_reason, number)
        .where(statuses.c.import_id == import_id, statuses.c.status == ItemStatus.FAILED)
        .group_by(statuses.c.failure_reason)
        .order_by(number.desc(), statuses.c.failure_reason)
        .limit(MOST_REASONS)
    )
    failures = {reason or "": count for reason, count in connection.execute(grouped)}
    sentence = "The rows of its items are dropped by age" + ("; the failed ones are kept." if failures else ".")
    events.note(connection, import_id, now, PRUNED, sentence, failures=failures)
