"""Claims of items, the ledger of enrichment: claim, complete, fail.

A claim names its worker and expires with its lease. A worker's write matches the row only while it holds the claim, so
a repeated or late write changes nothing: at-least-once fetch, exactly-once effect.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from import_pipeline.contracts import Importable
from import_pipeline.rules.status import ImportKind, ItemStatus, LeftOut
from import_pipeline.tracking import counters, items, source_items
from import_pipeline.tracking.counters import NOTHING, CounterDelta
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease, hold
from import_pipeline.tracking.source_items import SeenItem
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.user_rows import reading
from import_pipeline.tracking.user_rows.row_ids import item_id
from import_pipeline.tracking.user_rows.row_swaps import release_unique_values
from import_pipeline.tracking.user_rows.row_writing import RowsRefused, upsert


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One item that a worker has claimed."""

    status_id: int
    external_id: str
    failure_count: int
    version: str | None = None
    etag: str | None = None  #: ETag of the item's last response, for sources with conditional requests
    linked: bool = True  #: the item row has the primary key of the user's row

    def metadata(self, **facts: str | None) -> dict[str, str]:
        """Return the metadata of the item row: its version, and these facts."""
        return {name: text for name, text in {"version": self.version, **facts}.items() if text}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A claimed item whose details were read into its importable, are unchanged, or are left out."""

    claim: Claim
    importable: Importable
    etag: str | None = None
    unchanged: bool = False
    left_out: LeftOut | None = None
    reason: str = ""  #: why it is left out
    is_doubtful: bool = False  #: gone by the status alone: a wrong address has the same answer
    request_seconds: float | None = None
    http_status: int | None = None
    batch: str | None = None  #: the first item of the request for several items


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed try of a claimed item; without a next attempt it has failed permanently."""

    claim: Claim
    reason: str
    next_attempt_at: datetime | None
    payload: str | None = None  #: the kept part of the response, without secrets
    may_pass: bool = False  #: it could succeed at another time, by the response
    is_denied: bool = False  #: access was denied; many of these in a row concern the whole import
    batch: str | None = None  #: the first item of the request for several items


def _taking(condition: Any) -> Any:
    free = (
        select(statuses.c.id)
        .where(statuses.c.import_id == bindparam("of_import"), condition)
        .order_by(statuses.c.next_attempt_at, statuses.c.id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(statuses)
        .where(statuses.c.id.in_(free))
        .values(
            status=ItemStatus.PROCESSING,
            claimed_by=bindparam("worker"),
            lease_expires_at=bindparam("until"),
            next_attempt_at=None,
        )
        .returning(
            statuses.c.id,
            statuses.c.external_id,
            statuses.c.failure_count,
            statuses.c.importable_id,
            statuses.c.metadata,
        )
    )


# The statements of every batch are built once: building one takes longer than executing it.
_TAKE_DUE = _taking(
    and_(
        statuses.c.status == ItemStatus.FAILED,
        statuses.c.next_attempt_at.is_not(None),
        # A failure in the future shows that the clock was set back: its next try could be hours away.
        or_(statuses.c.next_attempt_at <= bindparam("now"), statuses.c.last_failed_at > bindparam("now")),
    )
)
_TAKE_PENDING = _taking(statuses.c.status == ItemStatus.PENDING)
_TAKE_EXPIRED = _taking(
    and_(statuses.c.status == ItemStatus.PROCESSING, statuses.c.lease_expires_at < bindparam("now"))
)
#: The condition for claims that this worker still holds.
_HELD = and_(
    statuses.c.id.in_(bindparam("held", expanding=True)),
    statuses.c.claimed_by == bindparam("worker"),
    statuses.c.status == ItemStatus.PROCESSING,
)
_FIND_HELD = select(statuses.c.id).where(_HELD).with_for_update()
_MARK_COMPLETED = (
    update(statuses)
    .where(_HELD)
    .values(
        status=ItemStatus.COMPLETED,
        completed_at=bindparam("now"),
        claimed_by=None,
        lease_expires_at=None,
        failure_reason=None,
    )
    .returning(statuses.c.id)
)
_MARK_FAILED = (
    update(statuses)
    .where(statuses.c.id == bindparam("of_status"))
    .values(
        status=ItemStatus.FAILED,
        failure_count=bindparam("failures"),
        failure_reason=bindparam("reason"),
        last_failed_at=bindparam("now"),
        next_attempt_at=bindparam("next"),
        metadata=bindparam("kept"),
        completed_at=None,
        claimed_by=None,
        lease_expires_at=None,
    )
)


def claim(connection: Connection, lease: Lease, limit: int, now: datetime, *, retries: bool = True) -> list[Claim]:
    """Claim up to `limit` items: due retries first, then pending ones, then expired claims.

    `retries=False` skips the query for due retries if the caller knows that there are none. Raises LeaseLost.
    """
    hold(connection, lease)
    claims: list[Claim] = []
    for taking in (_TAKE_DUE, _TAKE_PENDING) if retries else (_TAKE_PENDING,):
        if len(claims) < limit:
            claims += _take(connection, lease, taking, limit - len(claims), now)
    return claims or _take(connection, lease, _TAKE_EXPIRED, limit, now)


def _take(connection: Connection, lease: Lease, taking: Any, limit: int, now: datetime) -> list[Claim]:
    until = now + timedelta(seconds=lease.seconds)
    values = {"of_import": lease.import_id, "worker": lease.worker, "most": limit, "now": now, "until": until}
    claims = [
        Claim(
            status_id=row.id,
            external_id=row.external_id,
            failure_count=row.failure_count,
            version=row.metadata.get("version"),
            linked=row.importable_id is not None,
        )
        for row in connection.execute(taking, values)
    ]
    return sorted(claims, key=lambda each: each.status_id)


def complete(
    connection: Connection,
    row: ImportRow,
    lease: Lease,
    model: type[Any],
    done: Sequence[Done],
    now: datetime,
    *,
    sent: CounterDelta = NOTHING,
    swaps: bool = False,
) -> None:
    """Store details: the item rows, the user's rows, stored versions, counters, and the requests in `sent`.

    `swaps`: the rows exchange unique values. Claims that this worker no longer holds are skipped. Raises LeaseLost, and
    RowsRefused if the user's table refuses a row: then repeat the transaction with fewer items.
    """
    # Counted in advance, since the import's row must be locked first; the count is nearly always right.
    expected = _outcomes(done)
    counters.add(connection, lease, now, expected + sent)
    held = _mark_completed(connection, lease, done, now)
    changed = [each.importable for each in held if not (each.unchanged or each.left_out)]
    _check_ids(model, held)
    if swaps:
        release_unique_values(connection, model, changed)
    upsert(connection, model, changed)
    _link(connection, row.source, model, [each.claim for each in held if not each.claim.linked])
    _note_left_out(connection, row.source, held, now)
    _remember(connection, row, held, now)
    if len(held) < len(done):
        counters.add(connection, lease, now, _outcomes(held) - expected)


def _check_ids(model: type[Any], done: Sequence[Done]) -> None:
    """Raise RowsRefused if details were read into another item's row."""
    for each in done:
        found = item_id(model, each.importable.external_id)
        if found != each.claim.external_id:
            raise RowsRefused(
                f"{model.__name__}.populate changes external_id from {each.claim.external_id!r} to {found[:80]!r}: "
                "the details are not those of this item"
            )


def _outcomes(done: Sequence[Done]) -> CounterDelta:
    unchanged = sum(each.unchanged for each in done)
    ends = Counter(each.left_out for each in done)
    return CounterDelta(
        imported=ends[None] - unchanged, unchanged=unchanged, skipped=ends[LeftOut.SKIPPED], gone=ends[LeftOut.GONE]
    )


def _mark_completed(connection: Connection, lease: Lease, done: Sequence[Done], now: datetime) -> list[Done]:
    """Complete the items that this worker still holds, and return them; one that it claimed twice comes once."""
    values = {"held": [each.claim.status_id for each in done], "worker": lease.worker, "now": now}
    mine = set(connection.scalars(_MARK_COMPLETED, values))
    return list({each.claim.status_id: each for each in done if each.claim.status_id in mine}.values())


def _note_left_out(connection: Connection, source: str, done: Sequence[Done], now: datetime) -> None:
    """Store why items are left out, and mark those that the API no longer has as gone."""
    kept = {e.claim.status_id: e.claim.metadata(left_out=e.left_out, reason=e.reason) for e in done if e.left_out}
    items.replace_metadata(connection, kept)
    gone = [each.claim.external_id for each in done if each.left_out is LeftOut.GONE]
    source_items.mark_gone(connection, source, gone, now)


def _remember(connection: Connection, row: ImportRow, stored: Sequence[Done], now: datetime) -> None:
    """Store the versions of stored and skipped items. Discovery has recorded listed items already."""
    chosen = row.kind is ImportKind.SELECTION
    news = [
        SeenItem(external_id=each.claim.external_id, version=each.claim.version, etag=each.etag)
        for each in stored
        if each.left_out is not LeftOut.GONE and (each.claim.version or each.etag or chosen)
    ]
    if chosen:
        source_items.record(connection, row, news)
    else:
        source_items.store_versions(connection, row, news)


def _link(connection: Connection, source: str, model: type[Any], claims: Sequence[Claim]) -> None:
    """Store the primary keys of new rows: chosen items that no list page had before."""
    if not claims:
        return
    keys = reading.ids(connection, model, [claim.external_id for claim in claims], source)
    connection.execute(
        update(statuses).where(statuses.c.id == bindparam("of_status")).values(importable_id=bindparam("key")),
        [{"of_status": claim.status_id, "key": keys.get(claim.external_id)} for claim in claims],
    )


def fail(
    connection: Connection, lease: Lease, failures: Sequence[Failure], now: datetime, sent: CounterDelta = NOTHING
) -> None:
    """Store failed tries, and count the requests in `sent`. Raises LeaseLost.

    Claims that this worker no longer holds are skipped.
    """
    hold(connection, lease, to_write=True)
    values = {"held": [failure.claim.status_id for failure in failures], "worker": lease.worker}
    mine = set(connection.scalars(_FIND_HELD, values))
    own = list({each.claim.status_id: each for each in failures if each.claim.status_id in mine}.values())
    _mark_failed(connection, own, now)
    lost = sum(failure.next_attempt_at is None for failure in own)
    counters.add(connection, lease, now, CounterDelta(failed=lost) + sent)


def _mark_failed(connection: Connection, failures: Sequence[Failure], now: datetime) -> None:
    rows = [
        {
            "of_status": failure.claim.status_id,
            "failures": failure.claim.failure_count + 1,
            "reason": failure.reason,
            "now": now,
            "next": failure.next_attempt_at,
            "kept": failure.claim.metadata(payload=failure.payload),
        }
        for failure in failures
    ]
    if rows:
        connection.execute(_MARK_FAILED, rows)
