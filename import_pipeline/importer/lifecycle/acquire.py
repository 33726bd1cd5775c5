"""Getting hold of an import: a new one, a scheduled one, or one whose worker is gone."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from import_pipeline.clock import Clock
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.lifecycle.take_over import already_running, end_stalled, is_hopeless
from import_pipeline.importer.lifecycle.workers import liveness
from import_pipeline.importer.runtime.database_wait import ACTION, patience_of
from import_pipeline.rules.resumes import too_often
from import_pipeline.rules.scheduling import RUN_START
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import events, heartbeats, imports, resumes, scheduling
from import_pipeline.tracking.database.engine import Database, when_committed
from import_pipeline.tracking.imports import ImportRow, NewImport
from import_pipeline.tracking.workers import Worker, is_alive, this_process


def find_or_create(
    database: Database,
    source: ImportSource,
    new: NewImport,
    clock: Clock,
    worker: Worker | None = None,
    on_dead_run: Callable[[str], None] = lambda run_id: None,
) -> ImportRow:
    """Return the import that a run requested now is to execute: a stalled one first, else a scheduled one.

    A stalled import may do something else than was requested (`satisfies`). The caller then resumes it first, and calls
    again. A scheduled import is new, or was created by a process that died before it started it. A stalled import that
    was cancelled, or that was resumed too often, ends here; `on_dead_run` gets the id of its Dagster run. Raises
    ImportAlreadyRunning if the running import has a live worker.
    """
    count_heartbeat_as_now(database, source.name, clock)
    now, monotonic, starter = clock.now(), clock.monotonic(), worker or this_process()

    def unit(connection: Connection) -> ImportRow:
        found = imports.running(connection, source.name, locked=True)  # of two, the second sees what the first did
        if found is None or _ended_here(connection, source, found, now, monotonic, on_dead_run):
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
        if heartbeats.count_heartbeat_as_now(connection, found, now) and found.heartbeat_at is not None:
            ahead = (found.heartbeat_at - now).total_seconds()
            sentence = (
                f"The clock was ahead by {ahead:.0f} s when its worker last gave a sign of life: that counts as now."
            )
            events.note(connection, found.id, now, events.CLOCK, sentence)

    database.transact(unit, ACTION)


def satisfies(found: ImportRow, new: NewImport) -> bool:
    """Whether the found import, once it is done, has done what the new one was to do: at least as much of it."""
    asked, has = new.options, found.options
    return (
        (found.kind, found.retry_of) == (new.kind, new.retry_of)
        and (has.only, has.numbers) == (asked.only, asked.numbers)
        and has.limit in {None, asked.limit}
        and has.fresh >= asked.fresh
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
        if adopted is None and satisfies(row, new):
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


def _ended_here(
    connection: Connection,
    source: ImportSource,
    row: ImportRow,
    now: datetime,
    monotonic: float,
    on_dead_run: Callable[[str], None],
) -> bool:
    """End a dead import that was to be cancelled, or that was resumed too often without getting on."""
    if not liveness(row, source.lease, monotonic).is_dead(now):
        return False
    if row.cancel_requested_at is not None:
        status, reason = ImportStatus.CANCELLED, f"cancelled by wish of {row.requested_by or 'a person'}"
    elif is_hopeless(connection, row):
        status, reason = ImportStatus.FAILED, too_often(row.resumes, resumes.broke_off(row))
    else:
        return False
    end_stalled(connection, row, now, status, reason)
    if row.dagster_run_id is not None:
        when_committed(connection, partial(on_dead_run, row.dagster_run_id))
    return True
