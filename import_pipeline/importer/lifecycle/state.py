"""Read an import row into the state that the scheduling rules decide on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.lifecycle.workers import liveness, living_shards
from import_pipeline.rules.scheduling import ImportState
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import resumes, shards
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.shards import ShardRow


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


@dataclass(frozen=True, kw_only=True)
class StoredFacts:
    """Facts about an import from the tracking database."""

    row: ImportRow
    resumes: int  #: in a row without progress
    shards: Sequence[ShardRow]  #: of a running import


def stored_facts(connection: Connection, row: ImportRow, found: Sequence[ShardRow] | None = None) -> StoredFacts:
    """Read the facts of a row. `found`: its shards, if they were read in this transaction already."""
    if row.status is not ImportStatus.RUNNING:
        return StoredFacts(row=row, resumes=row.resumes, shards=())
    return StoredFacts(
        row=row,
        resumes=resumes.without_progress(connection, row),
        shards=shards.of_import(connection, row.id) if found is None else found,
    )


def state_of(
    stored: StoredFacts,
    source: ImportSource,
    seen: ExternalFacts,
    now: datetime,
    answer: RequestedRun = RequestedRun.UNKNOWN,
) -> ImportState:
    """Return the import's state as the scheduling rules need it."""
    row = stored.row
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
        resumes=stored.resumes,
        worker_error=resumes.worker_error(row),
        blocked_until=row.blocked_until,
        waits_for=seen.waits_for,
        cancel_requested_at=row.cancel_requested_at or terminated,
        run_id=row.dagster_run_id,
        run_is_gone=seen.run_state is not RunState.ALIVE,
        liveness=liveness(row, source.lease, seen.monotonic) if running else None,
        others_live=any(living_shards(stored.shards, source.lease, now, seen.monotonic).values()),
        run_is_queued=answer is RequestedRun.QUEUED,
        run_ended=answer is RequestedRun.ENDED,
    )
