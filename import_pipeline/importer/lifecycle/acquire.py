"""Getting hold of an import: a new one, a scheduled one, or one whose worker is gone."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from import_pipeline.clock import Clock
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportAlreadyRunning, LeaseLost, UsageError
from import_pipeline.importer.runtime.database_wait import ACTION, patience_of
from import_pipeline.redaction import SECRETS
from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES, too_often
from import_pipeline.rules.scheduling import RUN_START
from import_pipeline.rules.status import ImportKind, ImportStatus, Trigger, said_of_end
from import_pipeline.tracking import events, imports, resumes, scheduling
from import_pipeline.tracking.database.engine import Database, when_committed
from import_pipeline.tracking.history import importable_type
from import_pipeline.tracking.imports import ImportRow, NewImport
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.workers import Worker, is_alive, machine, this_process


def liveness(row: ImportRow, lease_seconds: float, monotonic: float | None = None) -> Liveness:
    """What this host can tell of the worker of a running import; `monotonic`: that clock now, if known."""
    heartbeat_at = row.heartbeat_at or row.started_at or row.created_at
    alive = None
    if row.host is not None and row.pid is not None:
        alive = is_alive(row.host, row.pid, seen_at=heartbeat_at, process_began=row.process_began)
    return Liveness(
        heartbeat_at=heartbeat_at,
        lease_seconds=lease_seconds,
        has_owner=row.pid is not None,
        process_alive=alive,
        silent_seconds=silent_seconds(row.host, row.heartbeat_monotonic, monotonic),
    )


def silent_seconds(host: str | None, heard: float | None, monotonic: float | None) -> float | None:
    """The time since a heartbeat of a process of this host, by its monotonic clock; None if that cannot tell."""
    if host != machine() or heard is None or monotonic is None or monotonic < heard:
        return None
    return monotonic - heard


def new_import(
    source: ImportSource,
    trigger: Trigger,
    *,
    kind: ImportKind = ImportKind.FULL,
    fresh: bool = False,
    limit: int | None = None,
    only: Sequence[str] = (),
    shards: int | None = None,
    numbers: Sequence[tuple[int, int]] = (),
    retry_of: int | None = None,
    slot_at: datetime | None = None,
    scheduled_at: datetime | None = None,
    by: str | None = None,
) -> NewImport:
    """An import of the source as it was asked for.

    Chosen ids, ranges of numbers (of buckets), or another import's leftovers make it a selection. Raises UsageError for
    an id that is a secret: it would be sent to the API, and stored.
    """
    if any(SECRETS.knows(each) for each in only):
        raise UsageError(f"{source.name}: one of the chosen ids is a secret of the settings; choose ids of items")
    ranges = [list(each) for each in numbers]
    asked = {
        "fresh": fresh or None,
        "limit": limit,
        "only": list(only) or None,
        "numbers": ranges or None,
        "shards": shards,
    }
    return NewImport(
        source=source.name,
        importable_type=importable_type(source.model),
        kind=ImportKind.SELECTION if only or ranges or retry_of else kind,
        trigger=trigger,
        slot_at=slot_at,
        scheduled_at=slot_at or scheduled_at,
        requested_by=by,
        retry_of=retry_of,
        metadata={name: value for name, value in asked.items() if value is not None},
    )


def prepare(
    database: Database,
    source: ImportSource,
    new: NewImport,
    clock: Clock,
    worker: Worker | None = None,
    bury: Callable[[str], None] = lambda run_id: None,
) -> ImportRow:
    """The import that a run asked for now is to carry out: the dead one that can go on, else a scheduled one.

    A dead one may do something else than was asked (`is_what_was_asked`): then it comes first, and after it whoever
    asked prepares again. The scheduled one is new, or was left by a process that did not live to start it. A dead one
    that was to be cancelled, or is hopeless, ends here first: `bury` hears the Dagster run that worked on it. Raises
    ImportAlreadyRunning where a living one is in the way.
    """
    count_heartbeat_as_now(database, source.name, clock)
    now, monotonic, starter = clock.now(), clock.monotonic(), worker or this_process()

    def unit(connection: Connection) -> ImportRow:
        found = imports.running(connection, source.name, locked=True)  # of two, the second sees what the first did
        if found is None or _ended_here(connection, source, found, now, monotonic, bury):
            return _adopted(connection, new, starter, now) or imports.create(connection, new, now, starter)
        if not liveness(found, source.lease, monotonic).is_dead(now):
            raise already_running(source, found)
        return found

    return database.transact(unit, patience_of(source))


def count_heartbeat_as_now(database: Database, source: str, clock: Clock) -> None:
    """Let a heartbeat from the future, written by a clock that was ahead, count as one of now: it blocks no lease."""
    now = clock.now()
    with database.read() as connection:
        found = imports.running(connection, source)
    if found is None or not liveness(found, 0.0).is_ahead(now):
        return

    def unit(connection: Connection) -> None:
        if imports.count_heartbeat_as_now(connection, found, now) and found.heartbeat_at is not None:
            ahead = (found.heartbeat_at - now).total_seconds()
            sentence = (
                f"The clock was ahead by {ahead:.0f} s when its worker last gave a sign of life: that counts as now."
            )
            events.note(connection, found.id, now, events.CLOCK, sentence)

    database.transact(unit, ACTION)


def is_what_was_asked(found: ImportRow, new: NewImport) -> bool:
    """Whether the found import, once it is done, has done what the new one was to do: at least as much of it."""
    asked, has = new.metadata, found.metadata
    return (
        (found.kind, found.retry_of) == (new.kind, new.retry_of)
        and (has.get("only"), has.get("numbers")) == (asked.get("only"), asked.get("numbers"))
        and has.get("limit") in {None, asked.get("limit")}
        and bool(has.get("fresh")) >= bool(asked.get("fresh"))
    )


def _adopted(connection: Connection, new: NewImport, starter: Worker, now: datetime) -> ImportRow | None:
    """The scheduled import that a process made and did not live to start, if it is the one asked for now.

    Others of that kind are cancelled: nobody would ever start them where no sensor runs.
    """
    adopted = None
    for row in scheduling.made_by_starters(connection, new.source):
        if not _is_orphaned(row, now):
            continue
        gone = f"process {row.pid or 'unknown'} on {row.host or 'an unknown host'} was gone before it began the import"
        if adopted is None and is_what_was_asked(row, new):
            if scheduling.adopt(connection, row, starter, now):
                events.note(connection, row.id, now, "import_adopted", f"Process {starter.pid} carries it out: {gone}.")
                adopted = imports.get(connection, row.id)
        elif scheduling.cancel_scheduled(connection, row.id, now, gone):
            events.note(connection, row.id, now, "import_cancelled", f"Cancelled: {gone}.")
    return adopted


def _is_orphaned(row: ImportRow, now: datetime) -> bool:
    """Whether the process that was to carry a scheduled import out is gone, and nobody else is about to."""
    made_at = row.scheduled_at or row.created_at
    if row.run_requested_at is not None and abs(now - row.run_requested_at) < RUN_START:
        return False
    alive = None
    if row.host is not None and row.pid is not None:
        alive = is_alive(row.host, row.pid, seen_at=made_at, process_began=row.process_began)
    return abs(now - made_at) >= RUN_START if alive is None else not alive


def begin(
    database: Database, source: ImportSource, import_id: int, worker: Worker, clock: Clock, run_id: str | None
) -> ImportRow:
    """Start the scheduled import, or take it over where its worker is gone; it is this worker's then.

    Raises ImportAlreadyRunning, InvalidTransition, or LeaseLost where another process was faster; an import that this
    process made for itself is deleted then: it would never be started.
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
        found = imports.get(connection, import_id, locked=True)  # the second of two finds the first at work
        if found.status is ImportStatus.RUNNING:
            return _take_over(connection, source, found, worker, now, monotonic, run_id)
        return _start(connection, source, found, worker, now, run_id)

    try:
        return database.transact(unit, patience)
    except IntegrityError:
        # The partial unique index spoke: another process started an import of this source since.
        other = database.transact(lambda connection: imports.running(connection, source.name), patience, read_only=True)
        if other is None:
            raise LeaseLost(f"{source.name}: another import ran at the same moment and has ended; try again") from None
        raise already_running(source, other) from None


def lease_of(row: ImportRow, source: ImportSource, worker: Worker) -> Lease:
    """The right to write that comes with having started or taken over the import."""
    return Lease(import_id=row.id, fence=row.fence, worker=worker.id, seconds=source.lease)


def already_running(source: ImportSource, row: ImportRow) -> ImportAlreadyRunning:
    """The error that says which import is in the way."""
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
    started = imports.start(connection, row.id, worker, now, run_id)
    events.note(connection, row.id, now, events.STARTED, f"Started by process {worker.pid} on {worker.host}.")
    return started


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
    taken = imports.take_over(connection, row, worker, now, run_id)
    sentence = f"Process {worker.pid} on {worker.host} goes on: {_why_taken(row, taken)}."
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
    """The lead of an import whose lead is gone, for a shard that works on; None where it ends here instead, as failed.

    Raises LeaseLost where another worker was faster.
    """
    if _is_hopeless(connection, row):
        _end_dead(connection, row, now, ImportStatus.FAILED, too_often(row.resumes, resumes.broke_off(row)))
        return None
    taken = imports.take_over(connection, row, worker, now, run_id, was_deserted=False)
    sentence = f"Process {worker.pid} on {worker.host} leads on, as shard {shard}: {_why_taken(row, taken)}."
    events.note(connection, row.id, now, "import_resumed", sentence, run_before=row.dagster_run_id)
    return taken


def _why_taken(row: ImportRow, taken: ImportRow) -> str:
    broke_off = resumes.broke_off(row)
    count = f"resume {taken.resumes} of {MAX_RESUMES} without progress"
    if broke_off is not None:
        return f"the process before it broke off with {broke_off} ({count})"
    if row.pid is None:
        return "the process before it has let go of it"
    return f"process {row.pid} is gone ({count})"


def _ended_here(
    connection: Connection,
    source: ImportSource,
    row: ImportRow,
    now: datetime,
    monotonic: float,
    bury: Callable[[str], None],
) -> bool:
    """End a dead import that was to be cancelled, or that was resumed too often without getting on."""
    if not liveness(row, source.lease, monotonic).is_dead(now):
        return False
    if row.cancel_requested_at is not None:
        status, reason = ImportStatus.CANCELLED, f"cancelled by wish of {row.requested_by or 'a person'}"
    elif _is_hopeless(connection, row):
        status, reason = ImportStatus.FAILED, too_often(row.resumes, resumes.broke_off(row))
    else:
        return False
    _end_dead(connection, row, now, status, reason)
    if row.dagster_run_id is not None:
        when_committed(connection, partial(bury, row.dagster_run_id))
    return True


def _end_dead(connection: Connection, row: ImportRow, now: datetime, status: ImportStatus, reason: str) -> None:
    imports.end_deserted(connection, row, now, status, reason)
    events.note(connection, row.id, now, f"import_{status}", said_of_end(reason, status))


def _is_hopeless(connection: Connection, row: ImportRow) -> bool:
    """Tell if a dead import was resumed too often without getting on; a worker that left in order is no such sign."""
    if row.resumes < MAX_RESUMES or (row.pid is None and resumes.broke_off(row) is None):
        return False
    return resumes.without_progress(connection, row) >= MAX_RESUMES
