"""Start an import, or take it over from a dead worker. Both give this worker the lease."""

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


def start_or_take_over(
    database: Database, source: ImportSource, import_id: int, worker: Worker, clock: Clock, run_id: str | None
) -> ImportRow:
    """Start the scheduled import, or take it over if its worker is dead; return its row.

    Raises ImportAlreadyRunning, InvalidTransition, or LeaseLost if another process was faster. Then an import that this
    process created for itself is deleted, since it would never start.
    """
    now = clock.now()
    try:
        return _begin(database, source, import_id, worker, now, clock.monotonic(), run_id)
    except (ImportAlreadyRunning, LeaseLost):
        database.transact(lambda connection: scheduling.withdraw(connection, import_id, worker), patience_of(source))
        raise


def _begin(
    database: Database,
    source: ImportSource,
    import_id: int,
    worker: Worker,
    now: datetime,
    monotonic: float,
    run_id: str | None,
) -> ImportRow:
    patience = patience_of(source)

    def unit(connection: Connection) -> ImportRow:
        found = imports.get(
            connection, import_id, locked=True
        )  # the second of two processes sees that the first has it
        if found.status is ImportStatus.RUNNING:
            return _take_over(connection, source, found, worker, now, monotonic, run_id)
        return _start(connection, source, found, worker, now, run_id)

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


def _start(
    connection: Connection, source: ImportSource, row: ImportRow, worker: Worker, now: datetime, run_id: str | None
) -> ImportRow:
    other = imports.running(connection, source.name)
    if other is not None:
        raise already_running(source, other)
    started = transitions.start(connection, row.id, worker, now, run_id)
    events.note(connection, row.id, now, events.STARTED, f"Started by process {worker.pid} on {worker.host}.")
    return decide_reading(connection, source, started, now)


def _take_over(
    connection: Connection,
    source: ImportSource,
    row: ImportRow,
    worker: Worker,
    now: datetime,
    monotonic: float,
    run_id: str | None,
) -> ImportRow:
    if not liveness(row, source.lease, monotonic).is_dead(now):
        raise already_running(source, row)
    taken = transitions.take_over(connection, row, worker, now, run_id)
    sentence = f"Process {worker.pid} on {worker.host} resumes the import: {_why_taken(row, taken)}."
    events.note(connection, row.id, now, "import_resumed", sentence, run_before=row.dagster_run_id)
    return taken


def take_lead(
    connection: Connection,
    source: ImportSource,
    row: ImportRow,
    worker: Worker,
    now: datetime,
    run_id: str | None,
    shard: int,
) -> ImportRow | None:
    """Give the lead of an import to one of its shards, since its worker is dead; return the import's row.

    Return None if the import was resumed too often and ends here as failed. Raises LeaseLost if another worker was
    faster.
    """
    if is_hopeless(connection, row):
        end_stalled(
            connection, row, now, ImportStatus.FAILED, resume_limit_reason(row.resumes, resumes.worker_error(row))
        )
        return None
    taken = transitions.take_over(connection, row, worker, now, run_id, was_stalled=False)
    sentence = f"Process {worker.pid} on {worker.host}, shard {shard}, leads the import now: {_why_taken(row, taken)}."
    events.note(connection, row.id, now, "import_resumed", sentence, run_before=row.dagster_run_id)
    return taken


def _why_taken(row: ImportRow, taken: ImportRow) -> str:
    broke_off = resumes.worker_error(row)
    count = f"resume {taken.resumes} of {MAX_RESUMES} without progress"
    if broke_off is not None:
        return f"the previous process broke off with {broke_off} ({count})"
    if row.pid is None:
        return "the previous process has released it"
    return f"process {row.pid} is dead ({count})"


def end_stalled(connection: Connection, row: ImportRow, now: datetime, status: ImportStatus, reason: str) -> None:
    transitions.end_stalled(connection, row, now, status, reason)
    events.note(connection, row.id, now, f"import_{status}", end_sentence(reason, status))


def is_hopeless(connection: Connection, row: ImportRow) -> bool:
    """Return True if a stalled import was resumed too often without progress. An orderly release does not count."""
    if row.resumes < MAX_RESUMES or (row.pid is None and resumes.worker_error(row) is None):
        return False
    return resumes.without_progress(connection, row) >= MAX_RESUMES
