"""Transitions of an import: started, taken over, released by its worker, ended, asked to stop.

Each is one guarded statement: of two processes that attempt one at the same moment, one succeeds.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, literal, select, update

from import_pipeline.errors import LeaseLost
from import_pipeline.rules.status import ImportStatus, check_transition, statuses_before
from import_pipeline.tracking import resumes
from import_pipeline.tracking.database.text_columns import Name
from import_pipeline.tracking.heartbeats import elapsed_until, stalled_metadata
from import_pipeline.tracking.imports import ImportRow, get, parse_row
from import_pipeline.tracking.leases import Lease, lease_without_worker, released, write
from import_pipeline.tracking.tables import import_item_statuses, import_shards, imports
from import_pipeline.tracking.workers import Worker


def start(connection: Connection, import_id: int, worker: Worker, now: datetime, run_id: str | None) -> ImportRow:
    """Start an import for this worker: scheduled -> running.

    Raises InvalidTransition, LeaseLost if another process started it first, and SQLAlchemy's IntegrityError while
    another import of the source runs.
    """
    started = connection.execute(
        update(imports)
        .where(imports.c.id == import_id, imports.c.status.in_(statuses_before(ImportStatus.RUNNING)))
        .values(status=ImportStatus.RUNNING, started_at=now, **_owner(worker, now, run_id))
        .returning(imports)
    ).one_or_none()
    if started is None:
        check_transition(f"import {import_id}", get(connection, import_id).status, ImportStatus.RUNNING)
        raise LeaseLost(f"import {import_id} was started by another process at the same moment")
    return parse_row(started)


def take_over(
    connection: Connection,
    found: ImportRow,
    worker: Worker,
    now: datetime,
    run_id: str | None,
    *,
    was_stalled: bool = True,
) -> ImportRow:
    """Take over a running import: release its worker's claims and refuse whatever that worker still writes.

    Claims of its shards stay. `was_stalled` is False if other workers kept working on it all the time. Raises
    LeaseLost if another process took it over first.
    """
    counted = resumes.next_resume(connection, found)
    metadata = counted.facts.store(found.metadata)
    counting = replace(found, metadata=metadata)
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
            metadata=stalled_metadata(connection, counting) if was_stalled else metadata,
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
    return parse_row(taken)


def count_failed_start(connection: Connection, found: ImportRow, error: str) -> None:
    """Count a resume whose run ended before it acquired the import, unless another worker has acquired it since."""
    counted = resumes.next_resume(connection, replace(found, metadata=found.metadata_with(broke_off=error)))
    kept = replace(counted.facts, broke_off=error).store(found.metadata)
    mine = (imports.c.id == found.id, imports.c.fence == found.fence, imports.c.status == ImportStatus.RUNNING)
    connection.execute(update(imports).where(*mine).values(resumes=counted.resumes, metadata=kept))


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


def end(
    connection: Connection,
    lease: Lease,
    now: datetime,
    status: ImportStatus,
    *,
    failure_reason: str | None = None,
    incomplete_reason: str | None = None,
) -> None:
    """End an import: running -> completed, failed or cancelled. Claimed items are pending again. Raises LeaseLost."""
    ended = {"status": status, "ended_at": now, "blocked_until": None}
    if status is ImportStatus.CANCELLED:
        ended["cancelled_at"] = now
    write(connection, lease, now, **ended, failure_reason=failure_reason, incomplete_reason=incomplete_reason)
    connection.execute(released(lease.import_id))


def end_stalled(
    connection: Connection, found: ImportRow, now: datetime, status: ImportStatus, failure_reason: str
) -> None:
    """End a stalled import: running -> failed or cancelled. Raises LeaseLost if another process was faster."""
    lease = lease_without_worker(found.id, found.fence)
    elapsed = elapsed_until(found, now)
    write(connection, lease, now, metadata=stalled_metadata(connection, found), elapsed_seconds=elapsed)
    end(connection, lease, now, status, failure_reason=failure_reason)


def count_finalize_attempt(connection: Connection, found: ImportRow, closed: int, now: datetime) -> None:
    """Count an attempt to complete a stalled import, which closed that many of its items.

    Raises LeaseLost if another process took it over.
    """
    lease = lease_without_worker(found.id, found.fence)
    counted = lease.guard().values(  # without a heartbeat: this is no worker
        finalize_attempts=imports.c.finalize_attempts + 1,
        last_finalize_attempt_at=now,
        items_failed_count=imports.c.items_failed_count + closed,
        metadata=stalled_metadata(connection, found),
        updated_at=now,
    )
    if connection.execute(counted).rowcount != 1:
        raise LeaseLost(f"another process took import {found.id} over at this moment")


def release(connection: Connection, lease: Lease, now: datetime, error: str | None = None) -> None:
    """Release an import that stays running, so that another process can resume it immediately.

    `error` is the reason if the worker broke off; then the next process counts as a resume.
    """
    write(connection, lease, now, host=None, pid=None)
    if error is not None:
        write(connection, lease, now, metadata=get(connection, lease.import_id).metadata_with(broke_off=error))
    connection.execute(released(lease.import_id, import_item_statuses.c.claimed_by == lease.worker))


def request_cancel(connection: Connection, import_id: int, now: datetime, by: str | None = None) -> bool:
    """Request the worker of a running import to stop. Return False if the import is not running."""
    statement = (
        update(imports)
        .where(imports.c.id == import_id, imports.c.status == ImportStatus.RUNNING)
        .values(
            cancel_requested_at=func.coalesce(imports.c.cancel_requested_at, now),
            requested_by=func.coalesce(literal(by, Name), imports.c.requested_by),
            updated_at=now,
        )
    )
    return connection.execute(statement).rowcount == 1
