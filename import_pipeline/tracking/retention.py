"""Delete old item rows that are no longer needed: import by import, in small batches along an index."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Exists, Select, delete, func, select

from import_pipeline.rules.status import ENDED, ItemStatus
from import_pipeline.tracking import events
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.tables import import_events, imports
from import_pipeline.tracking.tables import import_item_statuses as statuses

#: Event: the item rows of an import are deleted. Its metadata has the reasons of the kept, failed ones.
PRUNED = "items_pruned"
#: Most reasons in that event, the most frequent ones first.
MOST_REASONS = 20
#: Statuses of deleted rows: failed ones stay.
DROPPED = (ItemStatus.COMPLETED, ItemStatus.PENDING, ItemStatus.PROCESSING)


def next_import(connection: Connection, ended_before: datetime, sources: Sequence[str] | None = None) -> int | None:
    """Return the oldest import that ended before, is not pruned yet and has no rows that a retry needs.

    With `sources`, only their imports count.
    """
    old = _old(ended_before, sources).where(~_is_needed())
    found: int | None = connection.scalar(old.order_by(imports.c.id).limit(1))
    return found


def kept(connection: Connection, ended_before: datetime, sources: Sequence[str] | None = None) -> list[int]:
    """Return the imports of that age whose rows stay: a retry that has not ended takes its items from them."""
    return list(connection.scalars(_old(ended_before, sources).where(_is_needed()).order_by(imports.c.id)))


def sources(connection: Connection) -> list[str]:
    """Return the names of all sources that ever had an import, listed in the settings or not."""
    return list(connection.scalars(select(imports.c.source).distinct().order_by(imports.c.source)))


def is_needed(connection: Connection, import_id: int) -> bool:
    """Return True if a retry that has not ended needs the import's rows. Locks it until the transaction ends."""
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
    """Delete up to `size` rows of items and slices of the import, except failed ones. Return their number."""
    dropped = 0
    for status in DROPPED:  # one after the other: each is a range of the index that serves claims
        batch = (
            select(statuses.c.id)
            .where(statuses.c.import_id == import_id, statuses.c.status == status)
            .order_by(statuses.c.next_attempt_at, statuses.c.id)
            .limit(size - dropped)
        )
        # A list of ids: for a subquery Postgres may read the whole table.
        for ids in chunks(list(connection.scalars(batch)) if dropped < size else []):
            dropped += connection.execute(delete(statuses).where(statuses.c.id.in_(ids))).rowcount
    return dropped + (slices.forget(connection, import_id, size - dropped) if dropped < size else 0)


def conclude(connection: Connection, import_id: int, now: datetime) -> None:
    """Note that the import is pruned, with the reasons of its kept, failed items.

    Nothing is noted if the import was deleted, or pruned by another process, meanwhile.
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
    sentence = "Its item rows are deleted by age" + ("; the failed ones are kept." if failures else ".")
    events.note(connection, import_id, now, PRUNED, sentence, failures=failures)
