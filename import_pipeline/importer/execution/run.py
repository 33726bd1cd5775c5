"""Execute one import from its start to its end: acquire it, run its phases, finish it, send the notices."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

from sqlalchemy import Connection

from import_pipeline.errors import ImportCancelled, LeaseLost, LimiterUnavailable
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
from import_pipeline.rules.endings import (
    BrokeOff,
    Cancelled,
    Completed,
    DatabaseAway,
    Ending,
    Failed,
    Interrupted,
    OwnershipLost,
    Paused,
    StoreAway,
    ending_of,
)
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import events, imports, leases, resumes, transitions
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease

#: The error of a worker that the rate-limit store does not answer, although it answers the sensor.
NO_ANSWER = (
    "no answer from the rate-limit store, which answers the sensor; check REDIS_URL and the network where the worker "
    "runs"
)


def execute_import(run: ImportRun, import_id: int) -> ImportSummary:
    """Start or take over an import and run it to its end. The summary says how it ended.

    Raises ImportAlreadyRunning, InvalidTransition or LeaseLost if the import belongs to another process;
    ImportInterrupted, LimiterUnavailable or DatabaseUnavailable if it is left to the next run.
    """
    row, lease = _acquire(run, import_id)
    ending = _run_to_the_end(run, row, lease)
    finish_import(run, row, lease, ending)
    send_notices(run.installation, run.source)
    return _summary_of(run, import_id)


def _acquire(run: ImportRun, import_id: int) -> tuple[ImportRow, Lease]:
    """Start or take over the import; return its row and this worker's lease."""
    clock = run.installation.clock
    run.began = clock.monotonic()
    row = start_or_take_over(run.installation.database, run.source, import_id, run.worker, clock, run.run_id)
    return row, lease_of(row, run.source, run.worker)


def _run_to_the_end(run: ImportRun, row: ImportRow, lease: Lease) -> Ending:
    """Run the phases and complete the import; return how that ended, whatever was raised."""
    installation = run.installation
    try:
        if row.cancel_requested_at is not None:
            raise ImportCancelled(f"cancelled by {row.requested_by or 'a person'}")
        asyncio.run(run_session(run, row, lease, run_phases))
        now, patience = installation.clock.now(), patience_of(run.source)
        complete(installation.database, row, lease, now, patience, run.source.model)
    except BaseException as error:  # noqa: BLE001 - finish_import raises it again
        return ending_of(error)
    return Completed()


def finish_import(
    run: ImportRun, row: ImportRow, lease: Lease, ending: Ending, numbers: Collection[int] | None = None
) -> None:
    """End the import, or release it to the next run. `numbers` are this worker's numbers if a shard leads.

    Raises the ending's error unless the import has an end or a pause; raises LeaseLost if another worker took it.
    """
    match ending:
        case Completed():
            return
        case OwnershipLost(error) | DatabaseAway(error):
            raise error
    try:
        _record_ending(run, row, lease, ending, numbers)
    finally:
        # Finds nothing after an end. After a crash or an interrupt, the next run can begin immediately.
        release(run, lease, resumes.describe_error(ending.error) if isinstance(ending, BrokeOff) else None)


def _record_ending(
    run: ImportRun,
    row: ImportRow,
    lease: Lease,
    ending: Cancelled | Failed | Paused | StoreAway | Interrupted | BrokeOff,
    numbers: Collection[int] | None,
) -> None:
    match ending:
        case Cancelled(reason):
            if workers_of(row, run.source) > 1:
                asyncio.run(wait_before_cancelling(run.installation, row, lease, numbers))
            _end(run, lease, ImportStatus.CANCELLED, reason)
        case Failed():
            _end(run, lease, ImportStatus.FAILED, ending.reason)
        case Paused():
            _pause(run, lease, ending)
        case StoreAway(error) if _may_have_wrong_address(run.installation, row):
            _end(run, lease, ImportStatus.FAILED, str(error))
        case StoreAway(error):
            raise _release_until_store_returns(run, lease, error) from error
        case Interrupted(error) | BrokeOff(error):
            raise error


def _pause(run: ImportRun, lease: Lease, pause: Paused) -> None:
    """Release the import until the pause is over, or end it if the pause is longer than the source allows."""
    installation, now = run.installation, run.installation.clock.now()
    if pause.until - now > run.source.max_pause:
        name = run.source.name
        setting = f"{variable_prefix(name)}MAX_PAUSE"
        reason = (
            f"{pause.reason}, longer than the source allows ({setting}, {run.source.max_pause}). If the API answers "
            f"again earlier, lift the pause: import-pipeline resume {name}, then import-pipeline run {name}"
        )
        _end(run, lease, ImportStatus.FAILED, reason)
        return

    def unit(connection: Connection) -> None:
        leases.write(connection, lease, now, blocked_until=pause.until)
        sentence = f"Paused: {pause.reason}; then another run resumes the import."
        events.note(connection, lease.import_id, now, events.PAUSED, sentence)

    installation.database.transact(unit, patience_of(run.source))


def _may_have_wrong_address(installation: Installation, row: ImportRow) -> bool:
    """Return True if a person started the import and the store has never answered it: its address may be wrong."""
    with installation.database.read() as connection:
        return row.trigger is Trigger.CLI and not store_ever_answered(imports.get(connection, row.id))


def _release_until_store_returns(run: ImportRun, lease: Lease, error: LimiterUnavailable) -> LimiterUnavailable:
    """Release the import until the rate-limit store answers; return the error to raise.

    A resume that sent nothing, although the store answered the sensor, counts as one without progress.
    """
    reason = "the rate-limit store does not answer"
    paused = f"Paused: {reason}. {cause_of(error)}. Once it answers, another run resumes the import."

    def unit(connection: Connection) -> None:
        leases.hold(connection, lease)
        now, found = run.installation.clock.now(), imports.get(connection, lease.import_id)
        # The sensor requests such a run only if the store answers it; a person may run the import at any time.
        was_fruitless = found.run_requested_at is not None and found.facts.requests_at_release == found.requests_count
        kept = found.metadata_with(requests_at_release=found.requests_count)
        leases.write(connection, lease, now, run_requested_at=None, metadata=kept)
        transitions.release(connection, lease, now, NO_ANSWER if was_fruitless else None)
        sentence = f"{paused} Yet it answered the sensor, which requested this run." if was_fruitless else paused
        events.note(connection, lease.import_id, now, events.PAUSED, sentence, reason=reason, until=None)

    run.installation.database.transact(unit, patience_of(run.source))
    return LimiterUnavailable(
        f"import {lease.import_id} waits: {reason}. {cause_of(error)}. Finished items are kept. Once it answers, "
        "the sensor or the next run resumes the import"
    )


def release(run: ImportRun, lease: Lease, broke_off: str | None) -> None:
    """Release a running import to another worker; do nothing if it has ended or belongs to another one."""
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


def _summary_of(run: ImportRun, import_id: int) -> ImportSummary:
    row = run.installation.database.transact(
        lambda connection: imports.get(connection, import_id), patience_of(run.source), read_only=True
    )
    return summarize(row, run.source.limits_text, run.installation.clock.now())
