"""Read an import row into the state that the scheduling rules decide on."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.lifecycle.workers import liveness, living_shards
from import_pipeline.rules.scheduling import (
    ImportState,
)
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import resumes
from import_pipeline.tracking.imports import ImportRow


class RunState(Enum):
    """The state of the Dagster run that works on an import."""

    ALIVE = auto()  #: Dagster has not seen it end
    GONE = auto()  #: it has ended, or Dagster does not know it
    CANCELLED = auto()  #: it was terminated, which also cancels its import


class RequestedRun(Enum):
    """The state of a run that was requested and has not started its import."""

    UNKNOWN = auto()  #: Dagster does not know it
    QUEUED = auto()  #: it has not started
    ENDED = auto()  #: it has ended


@dataclass(frozen=True, kw_only=True)
class ExternalFacts:
    """Facts fetched before the transaction (from Dagster and the rate-limit store), since those calls may be slow."""

    running: ImportRow | None = None
    run_state: RunState = RunState.ALIVE  #: of the Dagster run that works on the import
    waits_for: str | None = None  #: why it waits, if the rate-limit store is still away
    monotonic: float | None = None  #: monotonic seconds at that time


def state_of(
    connection: Connection,
    row: ImportRow,
    source: ImportSource,
    seen: ExternalFacts,
    now: datetime,
    answer: RequestedRun = RequestedRun.UNKNOWN,
) -> ImportState:
    """Return the import's state as the scheduling rules need it."""
    running = row.status is ImportStatus.RUNNING
    terminated = now if seen.run_state is RunState.CANCELLED else None
    return ImportState(
        id=row.id,
        status=row.status,
        trigger=row.trigger,
        slot_at=row.slot_at,
        scheduled_at=row.scheduled_at or row.created_at,
        run_requested_at=row.run_requested_at,
        has_started=row.started_at is not None,
        resumes=resumes.without_progress(connection, row) if running else row.resumes,
        worker_error=resumes.worker_error(row),
        blocked_until=row.blocked_until,
        waits_for=seen.waits_for,
        cancel_requested_at=row.cancel_requested_at or terminated,
        run_id=row.dagster_run_id,
        run_is_gone=seen.run_state is not RunState.ALIVE,
        liveness=liveness(row, source.lease, seen.monotonic) if running else None,
        others_live=running and any(living_shards(connection, row.id, source.lease, now, seen.monotonic).values()),
        run_is_queued=answer is RequestedRun.QUEUED,
        run_ended=answer is RequestedRun.ENDED,
    )
