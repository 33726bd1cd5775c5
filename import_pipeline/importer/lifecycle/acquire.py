"""Acquire an import: a new one, a scheduled one, or a stalled one."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from import_pipeline.clock import Clock
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.lifecycle.take_over import already_running, end_stalled, hopeless_reason
from import_pipeline.importer.lifecycle.workers import liveness
from import_pipeline.importer.runtime.database_wait import ACTION, patience_of
from import_pipeline.rules.scheduling import RUN_START
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking import events, heartbeats, imports, scheduling
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
        # Locked: the second of two processes sees what the first did.
        found = imports.running(connection, source.name, locked=True)
        if found is None or _end_if_finished(connection, source, found, now, monotonic, on_dead_run):
            return _adopt(connection, new, starter, now) or imports.create(connection, new, now, starter)
        if not liveness(found, source.lease, monotonic).is_dead(now):
            raise already_running(source, found)
        return found

    return database.transact(unit, patience_of(source))


def count_heartbeat_as_now(database: Database, source: str, clock: Clock) -> None:
    """Count a heartbeat from the future, written by a fast clock, as sent now, so that its lease can expire."""
    now = clock.now()
    with database.read() as connection:
        found = imports.running(connection, source)
    if found is None or not liveness(found, 0.0).is_ahead(now):
        return

    def unit(connection: Connection) -> None:
        if heartbeats.count_heartbeat_as_now(connection, found, now) and found.heartbeat_at is not None:
            ahead = (found.heartbeat_at - now).total_seconds()
            sentence = (
                f"The clock was ahead by {ahead:.0f} s at the last heartbeat of the worker; it counts as sent now."
            )
            events.note(connection, found.id, now, events.CLOCK_SKEW, sentence)

    database.transact(unit, ACTION)


def satisfies(found: ImportRow, new: NewImport) -> bool:
    """Return True if the found import will do at least everything that the new one requests."""
    requested, has = new.options, found.options
    return (
        _covers(found, new)
        and found.retry_of == new.retry_of
        and (has.only, has.numbers) == (requested.only, requested.numbers)
        and has.limit in {None, requested.limit}
        and has.fresh >= requested.fresh
        and has.fetches_all >= requested.fetches_all
    )


def _covers(found: ImportRow, new: NewImport) -> bool:
    """Return True if the kind of the found import covers the new one's.

    A full import that has not started may become incremental at its start, unless it was requested as full.
    """
    if found.kind is ImportKind.INCREMENTAL:
        return new.kind is ImportKind.FULL and not (new.options.full or new.options.fetches_all)
    has_started = found.started_at is not None
    return found.kind is new.kind and (has_started or found.options.full >= new.options.full)


def _adopt(connection: Connection, new: NewImport, starter: Worker, now: datetime) -> ImportRow | None:
    """Return the scheduled import of a process that died before starting it, if it does what is requested now.

    Others of that kind are cancelled: without a sensor, no process would ever start them.
    """
    adopted = None
    for row in scheduling.created_by_workers(connection, new.source):
        if not _has_lost_its_starter(row, now):
            continue
        gone = f"process {row.pid or 'unknown'} on {row.host or 'an unknown host'} died before it started the import"
        if adopted is None and satisfies(row, new):
            if scheduling.adopt(connection, row, starter, now):
                events.note(connection, row.id, now, "import_adopted", f"Process {starter.pid} starts it: {gone}.")
                adopted = imports.get(connection, row.id)
        elif scheduling.cancel_scheduled(connection, row.id, now, gone):
            events.note(connection, row.id, now, "import_cancelled", f"Cancelled: {gone}.")
    return adopted


def _has_lost_its_starter(row: ImportRow, now: datetime) -> bool:
    """Return True if the process that was to start a scheduled import is dead, and no run of it is about to start."""
    made_at = row.scheduled_at or row.created_at
    if row.run_requested_at is not None and abs(now - row.run_requested_at) < RUN_START:
        return False
    alive = None
    if row.host is not None and row.pid is not None:
        alive = is_alive(row.host, row.pid, seen_at=made_at, process_began=row.process_began)
    return abs(now - made_at) >= RUN_START if alive is None else not alive


def _end_if_finished(
    connection: Connection,
    source: ImportSource,
    row: ImportRow,
    now: datetime,
    monotonic: float,
    on_dead_run: Callable[[str], None],
) -> bool:
    """End a stalled import that was cancelled, or that was resumed too often without progress. True: it has ended."""
    if not liveness(row, source.lease, monotonic).is_dead(now):
        return False
    if row.cancel_requested_at is not None:
        status, reason = ImportStatus.CANCELLED, f"cancelled by {row.requested_by or 'a person'}"
    elif (hopeless := hopeless_reason(connection, row)) is not None:
        status, reason = ImportStatus.FAILED, hopeless
    else:
        return False
    end_stalled(connection, row, now, status, reason)
    if row.dagster_run_id is not None:
        when_committed(connection, partial(on_dead_run, row.dagster_run_id))
    return True
