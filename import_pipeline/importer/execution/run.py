"""Carrying out one import from its start to its end: both phases, the heartbeat, the signals, the outcome."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

from sqlalchemy import Connection

from import_pipeline.errors import (
    ApiBlocked,
    DatabaseUnavailable,
    ImportCancelled,
    ImportFailed,
    ImportInterrupted,
    LeaseLost,
    LimiterUnavailable,
    UsageError,
)
from import_pipeline.importer.execution.last_worker import wait_before_cancelling
from import_pipeline.importer.execution.limiter_outage import cause_of
from import_pipeline.importer.execution.phases import run_phases
from import_pipeline.importer.execution.session import ImportRun, run_session
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.finish import complete, end
from import_pipeline.importer.lifecycle.notifications import send_notices
from import_pipeline.importer.lifecycle.take_over import lease_of, start_or_take_over
from import_pipeline.importer.lifecycle.workers import workers_of
from import_pipeline.importer.limiter_usage import store_ever_answered
from import_pipeline.importer.runtime.database_wait import patience_of
from import_pipeline.importer.summary import ImportSummary, summarize
from import_pipeline.rules.resumes import MAX_RESUMES
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.rules.store_outage import next_leave
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import events, imports, leases, resumes, transitions
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease

#: What ends an import as failed, with its message as the reason.
FAILING_ERRORS = (ImportFailed, UsageError)
#: What leaves an import to the next run without being a sign of trouble. After all else its resume counts.
IN_ORDER = (ImportInterrupted, LimiterUnavailable, KeyboardInterrupt, asyncio.CancelledError)


def execute_import(run: ImportRun, import_id: int) -> ImportSummary:
    """Start or take over the import and see it to its end. The summary tells whether it completed.

    Raises ImportAlreadyRunning, InvalidTransition or LeaseLost where the import is (now) somebody else's;
    ImportInterrupted when the process was told to end, LimiterUnavailable when the store of the limits stays away, with
    the import left for the next run; DatabaseUnavailable.
    """
    installation = run.installation
    run.began = installation.clock.monotonic()
    row = start_or_take_over(installation.database, run.source, import_id, run.worker, installation.clock, run.run_id)
    lease = lease_of(row, run.source, run.worker)
    try:
        if row.cancel_requested_at is not None:
            raise ImportCancelled(f"cancelled by wish of {row.requested_by or 'a person'}")
        asyncio.run(run_session(run, row, lease, run_phases))
        now, patience = installation.clock.now(), patience_of(run.source)
        complete(installation.database, row, lease, now, patience, run.source.model)
    except BaseException as error:
        if not end_or_release(run, row, lease, error):
            raise
    send_notices(installation, run.source)
    row = installation.database.transact(
        lambda connection: imports.get(connection, import_id), patience_of(run.source), read_only=True
    )
    return summarize(row, run.source.limits, installation.clock.now())


def end_or_release(
    run: ImportRun, row: ImportRow, lease: Lease, error: BaseException, seats: Collection[int] | None = None
) -> bool:
    """Let go of an import because of that error: end it, or leave it to the next run. True: nothing is to be raised.

    `seats`: the numbers of this worker, where a shard leads. Raises what tells more than the error does.
    """
    installation, broke_off = run.installation, None
    if isinstance(error, LeaseLost | DatabaseUnavailable):
        return False
    try:
        match error:
            case ImportCancelled():
                if workers_of(row, run.source) > 1:
                    asyncio.run(wait_before_cancelling(installation, row, lease, seats))
                _end(run, lease, ImportStatus.CANCELLED, str(error))
            case ApiBlocked():
                _pause(run, lease, error)
            case LimiterUnavailable():
                if not _may_be_misnamed(installation, row):
                    raise _release_until_store_returns(run, lease, error) from error
                _end(run, lease, ImportStatus.FAILED, str(error))
            case ImportFailed() | UsageError():
                _end(run, lease, ImportStatus.FAILED, str(error))
            case _:
                broke_off = None if isinstance(error, IN_ORDER) else resumes.said_of(error)
                return False
    finally:
        # After an end this finds nothing; after a crash of ours or an interrupt it lets the next run begin at once.
        release(run, lease, broke_off)
    return True


def _pause(run: ImportRun, lease: Lease, error: ApiBlocked) -> None:
    """Leave the import running without a worker until the pause is over, or end it where that is too long."""
    installation, now = run.installation, run.installation.clock.now()
    if error.until - now > run.source.max_pause:
        name = run.source.name
        setting = f"{variable_prefix(name)}MAX_PAUSE"
        reason = (
            f"{error}, longer than the source allows ({setting}, {run.source.max_pause}). If the API answers again "
            f"before, lift the pause: import-pipeline resume {name}, then import-pipeline run {name}"
        )
        _end(run, lease, ImportStatus.FAILED, reason)
        return

    def pause(connection: Connection) -> None:
        leases.write(connection, lease, now, blocked_until=error.until)
        events.note(connection, lease.import_id, now, events.PAUSED, f"Paused: {error}; then another run goes on.")

    installation.database.transact(pause, patience_of(run.source))


def _may_be_misnamed(installation: Installation, row: ImportRow) -> bool:
    """Whether a person has just begun the import with a store that has never answered it: its address may be wrong."""
    with installation.database.read() as connection:
        return row.trigger is Trigger.CLI and not store_ever_answered(imports.get(connection, row.id))


def _release_until_store_returns(run: ImportRun, lease: Lease, error: LimiterUnavailable) -> LimiterUnavailable:
    """Leave the import running without a worker until the store is back; returns what to tell of it."""
    reason = "the store of the limits does not answer"
    paused = f"Paused: {reason}. {cause_of(error)}. Once it is back, another run goes on."

    def leave(connection: Connection) -> None:
        leases.hold(connection, lease)
        requests = imports.get(connection, lease.import_id).requests_count
        before, was_asked_for = events.last_leave(connection, lease.import_id)
        left = next_leave(before, requests=requests, was_asked_for=was_asked_for)
        yet = f" Yet it answered the sensor, which had asked for this run ({left.in_vain} of {MAX_RESUMES})."
        sentence = paused + (yet if left.in_vain else "")
        events.leave(connection, lease.import_id, run.installation.clock.now(), sentence, reason, left)

    run.installation.database.transact(leave, patience_of(run.source))
    return LimiterUnavailable(
        f"import {lease.import_id} waits: {reason}. {cause_of(error)}. What is done is kept; once it is back, "
        "the sensor goes on with it by itself, or else the next run"
    )


def release(run: ImportRun, lease: Lease, broke_off: str | None) -> None:
    """Leave a running import to another worker; nothing happens where it has ended or is another's already."""
    now = run.installation.clock.now()

    def unit(connection: Connection) -> None:
        transitions.release(connection, lease, now, broke_off)
        if broke_off is not None:
            events.note(connection, lease.import_id, now, "import_broke_off", f"Its worker broke off: {broke_off}.")

    with suppress(LeaseLost):
        run.installation.database.transact(unit, patience_of(run.source))


def _end(run: ImportRun, lease: Lease, status: ImportStatus, reason: str) -> None:
    installation = run.installation
    end(installation.database, lease, installation.clock.now(), status, reason, patience_of(run.source))
