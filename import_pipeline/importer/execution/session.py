"""Run the phases of an import under its heartbeat, signal handlers and usage meter."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import (
    DatabaseUnavailable,
    HeartbeatFailed,
    ImportCancelled,
    ImportInterrupted,
    ImportPipelineError,
    LeaseLost,
    LimiterUnavailable,
)
from import_pipeline.importer.bookmarks.beginning import reading_source
from import_pipeline.importer.collector import collecting_less
from import_pipeline.importer.execution.heartbeat import Heartbeat, OnBeat, nothing_else
from import_pipeline.importer.execution.limiter_outage import note_eviction
from import_pipeline.importer.execution.signals import end_of, handle_signals
from import_pipeline.importer.execution.usage_share import UsageMeter
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.workers import workers_of
from import_pipeline.importer.runtime.api_client import ApiClient, open_api
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.ownership import Ownership
from import_pipeline.importer.runtime.progress import NullListener, ProgressListener
from import_pipeline.importer.runtime.stop import GRACE_SECONDS, StopSignal
from import_pipeline.importer.user_code.declared_paths import watch_paths
from import_pipeline.importer.user_code.running_hooks import HookInterrupted
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.workers import Worker, this_process

T = TypeVar("T")
INTERRUPTED = "the process was stopped; the import keeps its state, and the next run resumes it"


@dataclass(kw_only=True)
class ImportRun:
    """The execution of an import by this process: its installation, source, listener and callbacks.

    `is_cancelled` is called on SIGINT or SIGTERM: True cancels the import, False only stops this process. `connect`
    opens the API; by default as the source's settings say. If it has less patience than the source, a longer pause
    releases the import, and another run resumes it afterwards.
    """

    installation: Installation
    source: ImportSource
    run_id: str | None = None
    listener: ProgressListener = field(default_factory=NullListener)
    is_cancelled: Callable[[], bool] = lambda: False
    connect: Callable[[], AbstractAsyncContextManager[ApiClient]] | None = None
    worker: Worker = field(default_factory=this_process)
    on_api: Callable[[ApiClient], None] = lambda api: None  #: called once, when the API is open
    #: Called with the Dagster run that led before, once a shard leads.
    on_lead: Callable[[str], None] = lambda run_id: None
    began: float | None = field(default=None, init=False)  #: monotonic seconds


async def run_session(
    run: ImportRun,
    row: ImportRow,
    lease: Lease,
    phases: Callable[[ImportContext], Awaitable[T]],
    on_beat: OnBeat = nothing_else,
) -> T:
    """Run the phases until they are done, or until a stop is requested; then raise the reason of the stop.

    Requests in flight then get a moment to be answered and stored; no new ones are sent.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stop = StopSignal(lambda seconds: loop.call_later(seconds, task.cancel) if task is not None else None)

    def interrupt() -> None:
        cancelled = run.is_cancelled()
        stop.request(ImportCancelled("its Dagster run was terminated") if cancelled else ImportInterrupted(INTERRUPTED))

    def end_soon(error: ImportPipelineError) -> None:
        loop.call_soon_threadsafe(stop.request, error, 0.0 if isinstance(error, LeaseLost) else GRACE_SECONDS)

    with handle_signals(loop, interrupt), collecting_less():
        try:
            result = await _work(run, row, lease, stop, end_soon, phases, on_beat)
        except asyncio.CancelledError:
            if stop.reason is None:
                raise
        except HookInterrupted:
            await asyncio.sleep(0)  # lets the loop handle the signal too
            if stop.reason is None:
                raise
        except BaseExceptionGroup as group:
            raise end_of(group, stop.reason) from group
    if stop.reason is not None:
        raise stop.reason from None
    return result


async def _note_risks(context: ImportContext, installation: Installation) -> None:
    """Record with the import that its connections or its rate-limit store are not safe."""
    await note_eviction(context, installation.settings)
    if context.api.is_unverified and context.lease.is_lead:
        sentence = "The certificates of the API are not verified (verify=False): its token can be read on the way."
        await context.note("certificates_not_verified", sentence)


async def _work(
    run: ImportRun,
    row: ImportRow,
    lease: Lease,
    stop: StopSignal,
    on_end: Callable[[ImportPipelineError], object],
    phases: Callable[[ImportContext], Awaitable[T]],
    on_beat: OnBeat,
) -> T:
    installation = run.installation
    connect = run.connect or partial(open_api, run.source, installation.settings, installation.clock)
    async with connect() as api:
        run.on_api(api)
        stop.on_request(api.endpoints.grant_no_more)  # a request sent now would be cut off, and repeated later
        context = _context_of(run, row, lease, api, stop)
        meter = UsageMeter(api, row)
        context.ownership = Ownership(installation.clock, lease.seconds)
        heartbeat = Heartbeat(
            installation.database,
            lease,
            installation.clock,
            pulse=lambda connection: meter.pulse(context.pending_counts.drain(connection)),
            on_end=on_end,
            began=run.began,
            patience_seconds=run.source.max_outage,
            on_beat=on_beat,
            ownership=context.ownership,
        )
        context.ownership.beat_now = heartbeat.beat_now
        try:
            with heartbeat:
                await meter.start(context)
                await _note_risks(context, installation)
                watch_paths(context.source)
                return await _metered(meter, context, phases)
        finally:
            context.close()
            with suppress(LimiterUnavailable):
                await meter.read()
            _settle(heartbeat, stop)


def _settle(heartbeat: Heartbeat, stop: StopSignal) -> None:
    """Record the remaining counts; a failure does not hide the reason of a stop."""
    try:
        with suppress(LeaseLost, DatabaseUnavailable, ImportCancelled):
            heartbeat.settle()
    except HeartbeatFailed:
        if stop.reason is None:
            raise


def _context_of(run: ImportRun, row: ImportRow, lease: Lease, api: ApiClient, stop: StopSignal) -> ImportContext:
    return ImportContext(
        source=reading_source(run.source, row.facts.since),
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


async def _metered(meter: UsageMeter, context: ImportContext, phases: Callable[[ImportContext], Awaitable[T]]) -> T:
    """Run the phases while the meter watches the usage; record its last reading."""
    watcher = asyncio.create_task(meter.watch(context))
    try:
        result = await phases(context)
        with suppress(LimiterUnavailable):
            await meter.read()
        await meter.note(context)
        return result
    finally:
        watcher.cancel()
