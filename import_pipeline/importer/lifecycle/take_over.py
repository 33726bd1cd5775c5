"""Start an import, or take it over from a dead worker. Both give this worker the lease."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from import_pipeline.clock import Clock
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportAlreadyRunning, LeaseLost
from import_pipeline.importer.bookmarks.beginning import decide_reading
from import_pipeline.importer.lifecycle.workers import liveness
from import_pipeline.importer.runtime.database_wait import patience_of
from import_pipeline.rules.resumes import MAX_RESUMES, resume_limit_reason
from import_pipeline.rules.status import ImportStatus, end_sentence
from import_pipeline.tracking import events, imports, resumes, scheduling, transitions
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import ImportLease
from import_pipeline.tracking.workers import Worker


@dataclass(frozen=True, kw_only=True)
class Applicant:
    """A worker that is to own an import of the source, and the moment at which it applies, by both clocks."""

    source: ImportSource
    worker: Worker
    run_id: str | None  #: of its Dagster run
    now: datetime
    monotonic: float

    def finds_dead_worker(self, row: ImportRow) -> bool:
        """Return True if the worker of a running import is dead, as far as this one can see."""
        return liveness(row, self.source.lease, self.monotonic).is_dead(self.now)


def start_or_take_over(
    database: Database, source: ImportSource, import_id: int, worker: Worker, clock: Clock, run_id: str | None
) -> ImportRow:
    """Start the scheduled import, or take it over if its worker is dead; return its row.

    Raises ImportAlreadyRunning, InvalidTransition, or LeaseLost if another process was faster. Then an import that this
    process created for itself is deleted, since it would never start.
    """
    applicant = Applicant(source=source, worker=worker, run_id=run_id, now=clock.now(), monotonic=clock.monotonic())
    try:
        return _begin(database, applicant, import_id)
    except (ImportAlreadyRunning, LeaseLost):
        database.transact(lambda connection: scheduling.withdraw(connection, import_id, worker), patience_of(source))
        raise


def _begin(database: Database, applicant: Applicant, import_id: int) -> ImportRow:
    source, patience = applicant.source, patience_of(applicant.source)

    def unit(connection: Connection) -> ImportRow:
        # Locked: the second of two processes sees that the first has it.
        found = imports.get(connection, import_id, locked=True)
        if found.status is ImportStatus.RUNNING:
            return _take_over(connection, applicant, found)
        return _start(connection, applicant, found)

    try:
        return database.transact(unit, patience)
    except IntegrityError:
        # The partial unique index refused it: another process has started an import of this source since.
        other = database.transact(lambda connection: imports.running(connection, source.name), patience, read_only=True)
        if other is None:
            raise LeaseLost(f"{source.name}: another import ran at the same moment and has ended; try again") from None
        raise already_running(source, other) from None


def lease_of(row: ImportRow, source: ImportSource, worker: Worker) -> ImportLease:
    """Return the lease of a worker that has started or taken over the import."""
    return ImportLease(import_id=row.id, fence=row.fence, worker=worker.id, seconds=source.lease)


def already_running(source: ImportSource, row: ImportRow) -> ImportAlreadyRunning:
    """Return the error that names the running import."""
    return ImportAlreadyRunning(
        source.name,
        import_id=row.id,
        since=row.started_at or row.created_at,
        where=f"{row.host or 'no host'}, process {row.pid or 'none'}",
        run_id=row.dagster_run_id,
        takeover=liveness(row, source.lease).said_of_takeover(),
    )


def _start(connection: Connection, applicant: Applicant, row: ImportRow) -> ImportRow:
    source, worker, now = applicant.source, applicant.worker, applicant.now
    other = imports.running(connection, source.name)
    if other is not None:
        raise already_running(source, other)
    started = transitions.start(connection, row.id, worker, now, applicant.run_id)
    events.note(connection, row.id, now, events.STARTED, f"Started by process {worker.pid} on {worker.host}.")
    return decide_reading(connection, source, started, now)


def _take_over(connection: Connection, applicant: Applicant, row: ImportRow) -> ImportRow:
    if not applicant.finds_dead_worker(row):
        raise already_running(applicant.source, row)
    taken = transitions.take_over(connection, row, applicant.worker, applicant.now, applicant.run_id)
    _note_resume(connection, applicant, row, taken, "resumes the import")
    return taken


def take_lead(connection: Connection, applicant: Applicant, row: ImportRow, shard: int) -> ImportRow | None:
    """Give the lead of an import to one of its shards, since its worker is dead; return the import's row.

    Return None if the import was resumed too often and ends here as failed. Raises LeaseLost if another worker was
    faster.
    """
    worker, now, run_id = applicant.worker, applicant.now, applicant.run_id
    reason = hopeless_reason(connection, row)
    if reason is not None:
        end_stalled(connection, row, now, ImportStatus.FAILED, reason)
        return None
    taken = transitions.take_over(connection, row, worker, now, run_id, was_stalled=False)
    _note_resume(connection, applicant, row, taken, f"leads the import now, as shard {shard}")
    return taken


def _note_resume(connection: Connection, applicant: Applicant, row: ImportRow, taken: ImportRow, what: str) -> None:
    """Record that the worker has the import, and why; `what` says as what."""
    worker = applicant.worker
    sentence = f"Process {worker.pid} on {worker.host} {what}: {_why_taken(row, taken)}."
    events.note(connection, row.id, applicant.now, "import_resumed", sentence, run_before=row.dagster_run_id)


def _why_taken(row: ImportRow, taken: ImportRow) -> str:
    broke_off = resumes.worker_error(row)
    count = f"resume {taken.resumes} of {MAX_RESUMES} without progress"
    if broke_off is not None:
        return f"the previous process broke off with {broke_off} ({count})"
    if row.pid is None:
        return "the previous process has released it"
    return f"process {row.pid} is dead ({count})"


def end_stalled(connection: Connection, row: ImportRow, now: datetime, status: ImportStatus, reason: str) -> None:
    """End an import whose worker is dead. Raises LeaseLost if another process was faster."""
    transitions.end_stalled(connection, row, now, status, reason)
    events.note(connection, row.id, now, f"import_{status}", end_sentence(reason, status))


def hopeless_reason(connection: Connection, row: ImportRow) -> str | None:
    """Return why a stalled import is not resumed once more: too often without progress; None if it may be.

    An orderly release does not count as a resume.
    """
    error = resumes.worker_error(row)
    if row.resumes < MAX_RESUMES or (row.pid is None and error is None):
        return None
    is_hopeless = resumes.without_progress(connection, row) >= MAX_RESUMES
    return resume_limit_reason(row.resumes, error) if is_hopeless else None
