"""Enrichment's half of the ledger: items claimed, done, failed.

A claim names its worker and expires with its lease; what a worker writes finds its row only while the claim is its own.
So a repeated or late write changes nothing: at-least-once fetch, exactly-once effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select, update

from import_pipeline.contracts import Importable
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking import importables, versions
from import_pipeline.tracking.imports import ImportRow, Lease, hold, write
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import imports
from import_pipeline.tracking.versions import Seen


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One item that a worker holds."""

    status_id: int
    external_id: str
    failure_count: int
    version: str | None = None
    etag: str | None = None  #: of the item's last answer, for sources that ask conditionally
    linked: bool = True  #: whether the item row knows the primary key of the user's row


@dataclass(frozen=True, kw_only=True)
class Done:
    """A claimed item whose details were read into its importable, or are the ones that it has already."""

    claim: Claim
    importable: Importable
    etag: str | None = None
    unchanged: bool = False


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A claimed item's failed try; without a next attempt it has failed for good."""

    claim: Claim
    reason: str
    next_attempt_at: datetime | None
    may_pass: bool = False  #: whether it could have gone well at another moment, as far as the answer tells


def claim(connection: Connection, lease: Lease, limit: int, now: datetime, *, retries: bool = True) -> list[Claim]:
    """Take up to that many items: due retries first, then pending ones, then those whose lease ran out.

    `retries=False` spares the look for due retries where the caller knows that there can be none. Raises LeaseLost.
    """
    hold(connection, lease)
    due = and_(statuses.c.status == ItemStatus.FAILED, statuses.c.next_attempt_at <= now)
    pending = statuses.c.status == ItemStatus.PENDING
    expired = and_(statuses.c.status == ItemStatus.PROCESSING, statuses.c.lease_expires_at < now)
    claims: list[Claim] = []
    for condition in (due, pending) if retries else (pending,):
        if len(claims) < limit:
            claims += _take(connection, lease, condition, limit - len(claims), now)
    return claims or _take(connection, lease, expired, limit, now)


def _take(connection: Connection, lease: Lease, condition: Any, limit: int, now: datetime) -> list[Claim]:
    free = (
        select(statuses.c.id)
        .where(statuses.c.import_id == lease.import_id, condition)
        .order_by(statuses.c.next_attempt_at, statuses.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    taken = connection.execute(
        update(statuses)
        .where(statuses.c.id.in_(free))
        .values(
            status=ItemStatus.PROCESSING,
            claimed_by=lease.worker,
            lease_expires_at=now + timedelta(seconds=lease.seconds),
            next_attempt_at=None,
        )
        .returning(statuses)
    )
    claims = [
        Claim(
            status_id=row.id,
            external_id=row.external_id,
            failure_count=row.failure_count,
            version=row.metadata.get("version"),
            linked=row.importable_id is not None,
        )
        for row in taken
    ]
    return sorted(claims, key=lambda each: each.status_id)


def complete(
    connection: Connection, row: ImportRow, lease: Lease, model: type[Any], done: Sequence[Done], now: datetime
) -> list[Failure]:
    """Store details: the item rows, the user's rows, versions, counters. Returns what the user's table refused.

    What was refused has failed for good. Raises LeaseLost. Claims that this worker no longer holds are passed over.
    """
    hold(connection, lease, to_write=True)
    mine = _mark_completed(connection, lease, [each.claim for each in done], now)
    held = [each for each in done if each.claim.status_id in mine]
    reasons = {
        id(importable): reason
        for importable, reason in importables.upsert(
            connection, model, [each.importable for each in held if not each.unchanged]
        )
    }
    stored = [each for each in held if id(each.importable) not in reasons]
    refused = [
        Failure(claim=each.claim, reason=reasons[id(each.importable)], next_attempt_at=None)
        for each in held
        if id(each.importable) in reasons
    ]
    _mark_failed(connection, refused, now)
    _link(connection, model, [each.claim for each in stored if not each.claim.linked])
    # Discovery has seen the others already.
    news = [
        Seen(external_id=each.claim.external_id, version=each.claim.version, etag=each.etag)
        for each in stored
        if each.claim.version or each.etag or not each.claim.linked
    ]
    versions.remember(connection, row, news)
    unchanged = sum(each.unchanged for each in stored)
    write(
        connection,
        lease,
        now,
        items_imported_count=imports.c.items_imported_count + len(stored) - unchanged,
        items_unchanged_count=imports.c.items_unchanged_count + unchanged,
        items_failed_count=imports.c.items_failed_count + len(refused),
    )
    return refused


def _mark_completed(connection: Connection, lease: Lease, claims: Sequence[Claim], now: datetime) -> set[int]:
    """Complete those that this worker still holds; returns which."""
    done = connection.scalars(
        update(statuses)
        .where(*_held(lease, claims))
        .values(
            status=ItemStatus.COMPLETED,
            completed_at=now,
            claimed_by=None,
            lease_expires_at=None,
            failure_reason=None,
        )
        .returning(statuses.c.id)
    )
    return set(done)


def _held(lease: Lease, claims: Sequence[Claim]) -> tuple[Any, ...]:
    """The condition that finds those claims that are still this worker's."""
    return (
        statuses.c.id.in_([each.status_id for each in claims]),
        statuses.c.claimed_by == lease.worker,
        statuses.c.status == ItemStatus.PROCESSING,
    )


def _link(connection: Connection, model: type[Any], claims: Sequence[Claim]) -> None:
    """Write the primary keys of rows that were stored only now: chosen items that no list page had brought before."""
    if not claims:
        return
    keys = importables.ids(connection, model, [claim.external_id for claim in claims])
    connection.execute(
        update(statuses).where(statuses.c.id == bindparam("of_status")).values(importable_id=bindparam("key")),
        [{"of_status": claim.status_id, "key": keys.get(claim.external_id)} for claim in claims],
    )


def fail(connection: Connection, lease: Lease, failures: Sequence[Failure], now: datetime) -> None:
    """Store failed tries. Raises LeaseLost. Claims that this worker no longer holds are passed over."""
    hold(connection, lease, to_write=True)
    held = _held(lease, [failure.claim for failure in failures])
    mine = set(connection.scalars(select(statuses.c.id).where(*held).with_for_update()))
    own = [failure for failure in failures if failure.claim.status_id in mine]
    _mark_failed(connection, own, now)
    for_good = sum(failure.next_attempt_at is None for failure in own)
    write(connection, lease, now, items_failed_count=imports.c.items_failed_count + for_good)


def _mark_failed(connection: Connection, failures: Sequence[Failure], now: datetime) -> None:
    for failure in failures:
        connection.execute(
            update(statuses)
            .where(statuses.c.id == failure.claim.status_id)
            .values(
                status=ItemStatus.FAILED,
                failure_count=failure.claim.failure_count + 1,
                failure_reason=failure.reason,
                last_failed_at=now,
                next_attempt_at=failure.next_attempt_at,
                completed_at=None,
                claimed_by=None,
                lease_expires_at=None,
            )
        )
