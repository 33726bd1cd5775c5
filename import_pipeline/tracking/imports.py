"""Every statement on import rows. With `pages` and `claims`, the only code that writes tracking rows: the ledger.

Functions take a connection inside a transaction, so that what belongs together is written together. Whatever a worker
writes is guarded by its lease.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from import_pipeline.errors import ImportNotFound, LeaseLost
from import_pipeline.rules.progress import elapsed_seconds
from import_pipeline.rules.status import (
    ImportKind,
    ImportStatus,
    Trigger,
    check_transition,
    sources_of,
)
from import_pipeline.tracking import request_counters, resumes
from import_pipeline.tracking.leases import Lease, guarded, lost, released, renew_claims, write
from import_pipeline.tracking.request_counters import Sent
from import_pipeline.tracking.tables import import_item_statuses, import_shards, imports
from import_pipeline.tracking.workers import Worker

#: In an import's metadata: seconds in which no process worked on it, and the moment from which on nobody did before it
#: was taken over or ended by somebody else, as long as that time is not counted.
AWAY_SECONDS, RESUMED_AFTER = "away_seconds", "resumed_after"
#: What a database can hold as an id; it refuses to look for more.
BIGGEST_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class ImportRow:
    """One import as the database has it; times are aware UTC."""

    id: int
    source: str
    importable_type: str
    kind: ImportKind
    trigger: Trigger
    status: ImportStatus
    slot_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancelled_at: datetime | None
    items_count: int | None
    items_imported_count: int
    items_unchanged_count: int
    items_failed_count: int
    requests_count: int
    rate_limit_hits_count: int
    rate_limit_sleeps_count: int
    total_sleep_seconds: float
    finalize_attempts: int
    last_finalize_attempt_at: datetime | None
    heartbeat_at: datetime | None
    heartbeat_monotonic: float | None
    elapsed_seconds: float | None
    host: str | None
    pid: int | None
    process_began: int | None
    dagster_run_id: str | None
    resumes: int
    fence: int
    run_requested_at: datetime | None
    checkpoint: Mapping[str, Any] | None
    blocked_until: datetime | None
    cancel_requested_at: datetime | None
    requested_by: str | None
    retry_of: int | None
    incomplete_reason: str | None
    failure_reason: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewImport:
    """What is known of an import before it starts. `metadata` may hold `limit` (items) and `only` (external ids)."""

    source: str
    importable_type: str
    kind: ImportKind
    trigger: Trigger
    slot_at: datetime | None = None
    scheduled_at: datetime | None = None
    requested_by: str | None = None
    retry_of: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pulse(Sent):
    """What a worker's heartbeat brings along: requests that are not counted yet, sleeps since the import began."""

    sleeps: int = 0
    slept_seconds: float = 0.0
    blocked_until: datetime | None = None
    elapsed: float | None = None  #: seconds since the beat before, by the monotonic clock
    monotonic: float | None = None  #: that clock now


def _row(row: Row[Any]) -> ImportRow:
    values = dict(row._mapping)
    kinds = {
        "kind": ImportKind(values["kind"]),
        "trigger": Trigger(values["trigger"]),
        "status": ImportStatus(values["status"]),
    }
    return ImportRow(**values | kinds)


def rows(connection: Connection, statement: Select[Any]) -> list[ImportRow]:
    """The rows of a SELECT over the whole table."""
    return [_row(row) for row in connection.execute(statement)]


def get(connection: Connection, import_id: int, *, locked: bool = False) -> ImportRow:
    """The import of that id; raises ImportNotFound. `locked`: it stays as it is until the transaction has ended."""
    row = None
    if import_id <= BIGGEST_ID:
        found = select(imports).where(imports.c.id == import_id)
        row = connection.execute(found.with_for_update(key_share=True) if locked else found).one_or_none()
    if row is None:
        raise ImportNotFound(
            f"import {import_id}: there is none of this id; `import-pipeline list` shows those there are"
        )
    return _row(row)


def lock(connection: Connection, import_id: int) -> None:
    """Lock the import's row, as every writer does first, whatever its status."""
    connection.execute(select(imports.c.id).where(imports.c.id == import_id).with_for_update(key_share=True))


def running(connection: Connection, source: str, *, locked: bool = False) -> ImportRow | None:
    """The source's running import, if there is one. `locked`: as in `get`."""
    one = select(imports).where(imports.c.source == source, imports.c.status == ImportStatus.RUNNING)
    found = rows(connection, one.with_for_update(key_share=True) if locked else one)
    return found[0] if found else None


def latest(
    connection: Connection,
    *,
    source: str | None = None,
    statuses: Sequence[ImportStatus] = (),
    limit: int = 20,
    offset: int = 0,
) -> list[ImportRow]:
    """Imports from the newest on."""
    statement = select(imports).order_by(imports.c.id.desc()).limit(limit).offset(offset)
    if source is not None:
        statement = statement.where(imports.c.source == source)
    if statuses:
        statement = statement.where(imports.c.status.in_(statuses))
    return rows(connection, statement)


def row_counts(connection: Connection) -> tuple[int, int]:
    """How many imports there are, and how many item rows they have made (by their own count: no item row is read)."""
    row = connection.execute(select(func.count(), func.coalesce(func.sum(imports.c.items_count), 0))).one()
    return int(row[0]), int(row[1])


def create(connection: Connection, new: NewImport, now: datetime, starter: Worker | None = None) -> ImportRow:
    """A scheduled import; `starter` is the process that is about to carry it out, where it is made for that.

    A second one of the same source and slot raises sqlalchemy's IntegrityError.
    """
    values = {
        "source": new.source,
        "importable_type": new.importable_type,
        "kind": new.kind,
        "trigger": new.trigger,
        "slot_at": new.slot_at,
        "scheduled_at": new.scheduled_at or now,
        "requested_by": new.requested_by,
        "retry_of": new.retry_of,
        "metadata": dict(new.metadata),
        "host": starter.host if starter else None,
        "pid": starter.pid if starter else None,
        "process_began": starter.began if starter else None,
        "created_at": now,
        "updated_at": now,
    }
    return _row(connection.execute(insert(imports).values(values).returning(imports)).one())


def start(connection: Connection, import_id: int, worker: Worker, now: datetime, run_id: str | None) -> ImportRow:
    """scheduled -> running, for this worker.

    Raises InvalidTransition, and sqlalchemy's IntegrityError while another import of the source runs.
    """
    started = connection.execute(
        update(imports)
        .where(imports.c.id == import_id, imports.c.status.in_(sources_of(ImportStatus.RUNNING)))
        .values(status=ImportStatus.RUNNING, started_at=now, **_owner(worker, now, run_id))
        .returning(imports)
    ).one_or_none()
    if started is None:
        check_transition(f"import {import_id}", get(connection, import_id).status, ImportStatus.RUNNING)
        raise LeaseLost(f"import {import_id} was started by another process at the same moment")
    return _row(started)


def take_over(
    connection: Connection,
    found: ImportRow,
    worker: Worker,
    now: datetime,
    run_id: str | None,
    *,
    was_deserted: bool = True,
) -> ImportRow:
    """Continue a running import whose worker is gone: its claims are released, whatever it still sends is refused.

    What shards hold stays theirs. `was_deserted`: False if other workers of it have been living all the time. Raises
    LeaseLost where somebody else was faster.
    """
    counted = resumes.counted(connection, found)
    counting = replace(found, metadata=counted.metadata)
    taken = connection.execute(
        update(imports)
        .where(
            imports.c.id == found.id,
            imports.c.fence == found.fence,
            imports.c.status == ImportStatus.RUNNING,
        )
        .values(
            resumes=counted.resumes,
            blocked_until=None,
            metadata=stalled_metadata(connection, counting) if was_deserted else counted.metadata,
            elapsed_seconds=elapsed_until(found, now),
            **_owner(worker, now, run_id),
        )
        .returning(imports)
    ).one_or_none()
    if taken is None:
        raise LeaseLost(f"import {found.id} was taken over by another process at the same moment")
    shards = import_shards
    held = select(shards.c.worker).where(shards.c.import_id == found.id, shards.c.pid.is_not(None))
    connection.execute(released(found.id, import_item_statuses.c.claimed_by.not_in(held)))
    return _row(taken)


def count_failed_start(connection: Connection, found: ImportRow, error: str) -> None:
    """Count a resume whose run ended before it had the import; not where a worker has it since."""
    counted = resumes.counted(connection, replace(found, metadata={**found.metadata, resumes.BROKE_OFF: error}))
    kept = {**counted.metadata, resumes.BROKE_OFF: error}
    mine = (imports.c.id == found.id, imports.c.fence == found.fence, imports.c.status == ImportStatus.RUNNING)
    connection.execute(update(imports).where(*mine).values(resumes=counted.resumes, metadata=kept))


def elapsed_until(found: ImportRow, now: datetime) -> float:
    """How long an import whose worker is gone has taken until now."""
    return elapsed_seconds(
        found.elapsed_seconds,
        started_at=found.started_at,
        heard_at=found.heartbeat_at,
        until=now,
        is_running=True,
        has_worker=False,
    )


def stalled_metadata(connection: Connection, found: ImportRow) -> dict[str, Any]:
    """The metadata of an import whose worker is gone, with the moment from which on nobody has worked on it."""
    return {**found.metadata, RESUMED_AFTER: stalled_since(connection, found).isoformat()}


def stalled_since(connection: Connection, found: ImportRow) -> datetime:
    """From when on nobody works on an import whose worker is gone.

    That is the last sign of life of it or of a shard, or the end of a pause that the API asked for: all of that counts
    as sleep.
    """
    shards = import_shards
    latest = select(func.max(shards.c.heartbeat_at)).where(shards.c.import_id == found.id)
    of_shards: datetime | None = connection.scalar(latest)
    if uncounted := found.metadata.get(RESUMED_AFTER):
        return max(filter(None, (datetime.fromisoformat(uncounted), of_shards)))
    heard_at = found.heartbeat_at or found.started_at or found.created_at
    return max(filter(None, (heard_at, found.blocked_until, of_shards)))


def _owner(worker: Worker, now: datetime, run_id: str | None) -> dict[str, Any]:
    return {
        "fence": imports.c.fence + 1,
        "host": worker.host,
        "pid": worker.pid,
        "dagster_run_id": run_id,
        "process_began": worker.began,
        "heartbeat_at": now,
        "heartbeat_monotonic": None,
        "updated_at": now,
    }


def beat(connection: Connection, lease: Lease, now: datetime, pulse: Pulse) -> ImportRow:
    """The heartbeat: renews the lease of import and claims, adds the counters. Returns the row; raises LeaseLost."""
    row = connection.execute(
        guarded(lease)
        .values(
            heartbeat_at=now,
            updated_at=now,
            blocked_until=pulse.blocked_until,
            **time_of(pulse),
            **counted(connection, pulse),
        )
        .returning(imports)
    ).one_or_none()
    if row is None:
        raise lost(lease)
    renew_claims(connection, lease, now)
    return _row(row)


def unblock(connection: Connection, sources: Sequence[str], now: datetime) -> dict[int, datetime]:
    """End the wait of these sources' running imports for a pause's end; return that end by the import's id."""
    waiting = (imports.c.source.in_(sources), imports.c.status == ImportStatus.RUNNING, imports.c.blocked_until > now)
    # Locked: of two at one moment, the second finds none that waits.
    seen = select(imports.c.id, imports.c.blocked_until).where(*waiting).order_by(imports.c.id)
    found = {row.id: row.blocked_until for row in connection.execute(seen.with_for_update(key_share=True))}
    connection.execute(update(imports).where(imports.c.id.in_(found)).values(blocked_until=None, updated_at=now))
    return found


def time_of(pulse: Pulse) -> dict[str, Any]:
    """What a beat of the lead says of the time by its monotonic clock, for an UPDATE."""
    values: dict[str, Any] = {"heartbeat_monotonic": pulse.monotonic}
    if pulse.elapsed is not None:
        values["elapsed_seconds"] = func.coalesce(imports.c.elapsed_seconds, 0.0) + max(0.0, pulse.elapsed)
    return values


def counted(connection: Connection, pulse: Pulse) -> dict[str, Any]:
    """The import's counters with the pulse added, for an UPDATE."""
    return request_counters.counted(pulse) | {
        "rate_limit_sleeps_count": _greatest(connection, imports.c.rate_limit_sleeps_count, pulse.sleeps),
        "total_sleep_seconds": _greatest(connection, imports.c.total_sleep_seconds, pulse.slept_seconds),
    }


def _greatest(connection: Connection, *values: Any) -> Any:
    # SQLite's max() of several arguments is what everybody else calls greatest().
    return func.max(*values) if connection.dialect.name == "sqlite" else func.greatest(*values)


def end(
    connection: Connection,
    lease: Lease,
    now: datetime,
    status: ImportStatus,
    *,
    failure_reason: str | None = None,
    incomplete_reason: str | None = None,
) -> None:
    """running -> completed, failed or cancelled; what the worker still held is pending again. Raises LeaseLost."""
    ended = {"status": status, "ended_at": now, "blocked_until": None}
    if status is ImportStatus.CANCELLED:
        ended["cancelled_at"] = now
    write(connection, lease, now, **ended, failure_reason=failure_reason, incomplete_reason=incomplete_reason)
    connection.execute(released(lease.import_id))


def end_stalled(
    connection: Connection, found: ImportRow, now: datetime, status: ImportStatus, failure_reason: str
) -> None:
    """running -> failed or cancelled, of an import whose worker is gone. Raises LeaseLost where somebody was faster."""
    lease = Lease(import_id=found.id, fence=found.fence, worker="", seconds=0)
    elapsed = elapsed_until(found, now)
    write(connection, lease, now, metadata=stalled_metadata(connection, found), elapsed_seconds=elapsed)
    end(connection, lease, now, status, failure_reason=failure_reason)


def count_heartbeat_as_now(connection: Connection, found: ImportRow, now: datetime) -> bool:
    """Let a heartbeat from the future, which a clock that was ahead has written, count as one of now: its lease ends.

    What was to last from then on lasts from now on. False if it has changed since it was seen.
    """
    if found.heartbeat_at is None or found.heartbeat_at <= now:
        return False
    ahead = found.heartbeat_at - now
    as_seen = (imports.c.id == found.id, imports.c.fence == found.fence, imports.c.heartbeat_at == found.heartbeat_at)
    until = None if found.blocked_until is None else found.blocked_until - ahead
    statement = update(imports).where(*as_seen, imports.c.status == ImportStatus.RUNNING)
    return connection.execute(statement.values(heartbeat_at=now, blocked_until=until, updated_at=now)).rowcount == 1


def count_gap(connection: Connection, found: ImportRow, now: datetime) -> None:
    """Count the time since the last sign of life of an import whose worker is gone, before another process ends it."""
    lease = Lease(import_id=found.id, fence=found.fence, worker="", seconds=0)
    write(connection, lease, now, elapsed_seconds=elapsed_until(found, now))


def leave(connection: Connection, lease: Lease, now: datetime, broke_off: str | None = None) -> None:
    """Stop working on an import that stays running, so that another process may go on with it at once.

    `broke_off`: the error that made the worker do so; then the next process counts as a resume.
    """
    write(connection, lease, now, host=None, pid=None)
    if broke_off is not None:
        kept = get(connection, lease.import_id).metadata
        write(connection, lease, now, metadata={**kept, resumes.BROKE_OFF: broke_off})
    connection.execute(released(lease.import_id, import_item_statuses.c.claimed_by == lease.worker))


def request_cancel(connection: Connection, import_id: int, now: datetime, by: str | None = None) -> bool:
    """Ask the worker of a running import to stop; False where it does not run (anymore)."""
    statement = (
        update(imports)
        .where(imports.c.id == import_id, imports.c.status == ImportStatus.RUNNING)
        .values(
            cancel_requested_at=func.coalesce(imports.c.cancel_requested_at, now),
            requested_by=func.coalesce(by, imports.c.requested_by),
            updated_at=now,
        )
    )
    return connection.execute(statement).rowcount == 1
