"""Carrying out one import from its start to its end: both phases, the heartbeat, the signals, the outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import (
    ApiBlocked,
    DatabaseUnavailable,
    HeartbeatFailed,
    ImportCancelled,
    ImportFailed,
    ImportInterrupted,
    ImportPipelineError,
    LeaseLost,
    LimiterUnavailable,
    UsageError,
)
from import_pipeline.importer.execution.heartbeat import Heartbeat
from import_pipeline.importer.execution.limiter_health import note_eviction
from import_pipeline.importer.execution.limiter_outage import cause_of
from import_pipeline.importer.execution.phases import carry_through
from import_pipeline.importer.execution.usage_share import Meter, has_begun
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import begin, lease_of
from import_pipeline.importer.lifecycle.finish import complete, end
from import_pipeline.importer.lifecycle.notifications import tell_people
from import_pipeline.importer.lifecycle.workers import last_word, workers_of
from import_pipeline.importer.runtime.api_client import Api, open_api
from import_pipeline.importer.runtime.context import GRACE_SECONDS, Listener, Silence, Stop, Work
from import_pipeline.importer.runtime.database_wait import patience_of
from import_pipeline.importer.runtime.ownership import Assurance
from import_pipeline.importer.summary import ImportSummary, summarize
from import_pipeline.importer.user_code.interruption import HookInterrupted, end_of, signals
from import_pipeline.rules.resumes import MAX_RESUMES
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.rules.store_outage import next_leave
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import events, imports, leases, resumes
from import_pipeline.tracking.imports import ImportRow, Pulse
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.workers import Worker, this_process

T = TypeVar("T")
#: What is done with each beat, in its transaction.
Also = Callable[[Connection, ImportRow, Pulse], None]

#: What ends an import as failed, with its message as the reason.
FATAL = (ImportFailed, UsageError)
#: What leaves an import to the next run without being a sign of trouble. After all else its resume counts.
IN_ORDER = (ImportInterrupted, LimiterUnavailable, KeyboardInterrupt, asyncio.CancelledError)


def nothing_else(connection: Connection, row: ImportRow, pulse: Pulse) -> None:
    """Do nothing beside a beat."""


@dataclass(kw_only=True)
class Run:
    """How an import is to be carried out by this process.

    `is_cancelled` is asked when the process is told to end: whether somebody wished the import cancelled, or only this
    process stopped. `connect` opens the API; the default does it by the source's settings. Where it does so with less
    patience than the source has, a longer pause leaves the import to another run, which goes on when it is over.
    """

    installation: Installation
    source: ImportSource
    run_id: str | None = None
    listener: Listener = field(default_factory=Silence)
    is_cancelled: Callable[[], bool] = lambda: False
    connect: Callable[[], AbstractAsyncContextManager[Api]] | None = None
    worker: Worker = field(default_factory=this_process)
    on_api: Callable[[Api], None] = lambda api: None  #: told once, when the API is open
    on_lead: Callable[[str], None] = lambda run_id: None  #: hears the run that led before, once a shard leads
    began: float | None = field(default=None, init=False)  #: by the monotonic clock


def carry_out(run: Run, import_id: int) -> ImportSummary:
    """Start or take over the import and see it to its end. The summary tells whether it completed.

    Raises ImportAlreadyRunning, InvalidTransition or LeaseLost where the import is (now) somebody else's;
    ImportInterrupted when the process was told to end, LimiterUnavailable when the store of the limits stays away, with
    the import left for the next run; DatabaseUnavailable.
    """
    installation = run.installation
    run.began = installation.clock.monotonic()
    row = begin(installation.database, run.source, import_id, run.worker, installation.clock, run.run_id)
    lease = lease_of(row, run.source, run.worker)
    try:
        if row.cancel_requested_at is not None:
            raise ImportCancelled(f"cancelled by wish of {row.requested_by or 'a person'}")
        asyncio.run(interruptible(run, row, lease, carry_through))
        now, patience = installation.clock.now(), patience_of(run.source)
        complete(installation.database, row, lease, now, patience, run.source.model)
    except BaseException as error:
        if not part_with(run, row, lease, error):
            raise
    tell_people(installation, run.source)
    row = installation.database.transact(
        lambda connection: imports.get(connection, import_id), patience_of(run.source), read_only=True
    )
    return summarize(row, run.source.limits, installation.clock.now())


def part_with(
    run: Run, row: ImportRow, lease: Lease, error: BaseException, seats: Collection[int] | None = None
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
                    asyncio.run(last_word(installation, row, lease, seats))
                _end(run, lease, ImportStatus.CANCELLED, str(error))
            case ApiBlocked():
                _pause(run, lease, error)
            case LimiterUnavailable():
                if not _may_be_misnamed(installation, row):
                    raise _leave_for_store(run, lease, error) from error
                _end(run, lease, ImportStatus.FAILED, str(error))
            case ImportFailed() | UsageError():
                _end(run, lease, ImportStatus.FAILED, str(error))
            case _:
                broke_off = None if isinstance(error, IN_ORDER) else resumes.said_of(error)
                return False
    finally:
        # After an end this finds nothing; after a crash of ours or an interrupt it lets the next run begin at once.
        leave(run, lease, broke_off)
    return True


def _pause(run: Run, lease: Lease, error: ApiBlocked) -> None:
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
        return row.trigger is Trigger.CLI and not has_begun(imports.get(connection, row.id))


def _leave_for_store(run: Run, lease: Lease, error: LimiterUnavailable) -> LimiterUnavailable:
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


def leave(run: Run, lease: Lease, broke_off: str | None) -> None:
    """Leave a running import to another worker; nothing happens where it has ended or is another's already."""
    now = run.installation.clock.now()

    def unit(connection: Connection) -> None:
        imports.leave(connection, lease, now, broke_off)
        if broke_off is not None:
            events.note(connection, lease.import_id, now, "import_broke_off", f"Its worker broke off: {broke_off}.")

    with suppress(LeaseLost):
        run.installation.database.transact(unit, patience_of(run.source))


def _end(run: Run, lease: Lease, status: ImportStatus, reason: str) -> None:
    installation = run.installation
    end(installation.database, lease, installation.clock.now(), status, reason, patience_of(run.source))


async def interruptible(
    run: Run, row: ImportRow, lease: Lease, phases: Callable[[Work], Awaitable[T]], also: Also = nothing_else
) -> T:
    """Work until the phases are done, or until a signal, the heartbeat or an answer asks to stop; raise that reason.

    What is in flight then gets a moment to be answered and stored; nothing new is begun.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stop = Stop(lambda seconds: loop.call_later(seconds, task.cancel) if task is not None else None)

    def interrupt() -> None:
        cancelled = run.is_cancelled()
        stop.ask(ImportCancelled("its Dagster run was terminated") if cancelled else ImportInterrupted(INTERRUPTED))

    def end_soon(error: ImportPipelineError) -> None:
        loop.call_soon_threadsafe(stop.ask, error, 0.0 if isinstance(error, LeaseLost) else GRACE_SECONDS)

    with signals(loop, interrupt):
        try:
            result = await _work(run, row, lease, stop, end_soon, phases, also)
        except asyncio.CancelledError:
            if stop.reason is None:
                raise
        except HookInterrupted:
            await asyncio.sleep(0)  # until the loop has heard of the signal, too
            if stop.reason is None:
                raise
        except BaseExceptionGroup as group:
            raise end_of(group, stop.reason) from group
    if stop.reason is not None:
        raise stop.reason from None
    return result


INTERRUPTED = "the process was told to end; the import is kept as it is, and the next run goes on with it"


async def _work(
    run: Run,
    row: ImportRow,
    lease: Lease,
    stop: Stop,
    on_end: Callable[[ImportPipelineError], object],
    phases: Callable[[Work], Awaitable[T]],
    also: Also,
) -> T:
    installation = run.installation
    connect = run.connect or partial(open_api, run.source, installation.settings, installation.clock)
    async with connect() as api:
        run.on_api(api)
        stop.then(api.limiter.grant_no_more)  # what is sent now would be cut before its answer, and be asked for again
        work = _work_of(run, row, lease, api, stop)
        meter = Meter(api, row)
        work.assurance = Assurance(installation.clock, lease.seconds)
        heartbeat = Heartbeat(
            installation.database,
            lease,
            installation.clock,
            pulse=lambda connection: meter.pulse(work.uncounted.take(connection)),
            on_end=on_end,
            began=run.began,
            patience_seconds=run.source.max_outage,
            also=also,
            assurance=work.assurance,
        )
        work.assurance.beat_now = heartbeat.beat_now
        try:
            with heartbeat:
                await meter.start(work)
                await note_eviction(work, installation.settings)
                return await _metered(meter, work, phases)
        finally:
            work.close()
            with suppress(LimiterUnavailable):
                await meter.read()
            _settle(heartbeat, stop)


def _settle(heartbeat: Heartbeat, stop: Stop) -> None:
    """Count what is not counted yet; a failure of that does not hide the reason of a stop."""
    try:
        with suppress(LeaseLost, DatabaseUnavailable, ImportCancelled):
            heartbeat.settle()
    except HeartbeatFailed:
        if stop.reason is None:
            raise


def _work_of(run: Run, row: ImportRow, lease: Lease, api: Api, stop: Stop) -> Work:
    return Work(
        source=run.source,
        database=run.installation.database,
        row=row,
        lease=lease,
        api=api,
        clock=run.installation.clock,
        chance=run.installation.chance,
        listener=run.listener,
        stop=stop,
        workers=workers_of(row, run.source),
    )


async def _metered(meter: Meter, work: Work, phases: Callable[[Work], Awaitable[T]]) -> T:
    """The phases, while the meter watches them; what it reads at their end is noted."""
    watcher = asyncio.create_task(meter.watch(work))
    try:
        result = await phases(work)
        with suppress(LimiterUnavailable):
            await meter.read()
        await meter.note(work)
        return result
    finally:
        watcher.cancel()
