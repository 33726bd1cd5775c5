"""Read the lists of an import's slices: several at a time, each with its own checkpoint, tries and failure."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import (
    ApiBlocked,
    HookFailed,
    ImportFailed,
    LeaseLost,
    LimiterUnavailable,
    OtherOrigin,
    UsageError,
)
from import_pipeline.importer.discovery.checkpoint import Checkpoint
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.discovery.list_reader import ListReader, PageFailed
from import_pipeline.importer.discovery.next_page import ListFailed
from import_pipeline.importer.discovery.page_writer import PageWriter
from import_pipeline.importer.discovery.pagination import OpenList
from import_pipeline.importer.discovery.stored_versions import forget_outdated_versions
from import_pipeline.importer.enrichment.concurrency import AdaptiveConcurrency
from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.slices.enumeration import Enumeration
from import_pipeline.importer.slices.new_slices import NewSlices
from import_pipeline.rules.circuit_breaker import CircuitBreaker
from import_pipeline.tracking import items
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.lists.slices import SliceClaim, SliceRow, SlicesLeft

#: Slices claimed ahead for each reader. A claim costs a transaction, so readers are not served one by one.
CLAIMS_PER_READER = 5
#: Seconds between two looks for slices, if neither a new key nor a retry is expected.
POLL_SECONDS = 1.0
#: Errors that end the reading of all slices.
ENDING = (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError)


async def read_slices(context: ImportContext) -> None:
    """Find the slices and read their lists. An error that makes this impossible stops the import."""
    try:
        await SliceReading(context).run()
    except ENDING as error:
        context.stop.request(error)


class SliceReading:
    """The discovery of an import with slices. `run()` returns once each slice was read or has failed permanently."""

    def __init__(self, context: ImportContext) -> None:
        self._context = context
        self._keys_added = asyncio.Event()
        self._enumeration = Enumeration(context, self._keys_added.set, lambda: self._is_over)
        self._new = NewSlices(context)
        self._writer = PageWriter(context)
        self._breaker = CircuitBreaker(context.source.max_outage)
        self._circuit = Circuit(context.clock, context.chance, context.record_wait)  #: open while the breaker is open
        self._ready: deque[SliceClaim] = deque()
        self._claiming = asyncio.Lock()
        self._concurrency = AdaptiveConcurrency(context)
        self._has_short_page = False  #: that is noted once for all slices
        self._taken = 0  #: items of all slices, for `--limit`
        self._reading = 0  #: slices that are being read

    async def run(self) -> None:
        """Read all slices, or until a stop is requested. Raises the errors of ENDING, LeaseLost, and the database's."""
        context = self._context
        await forget_outdated_versions(context)
        await self._enumeration.begin()
        if context.options.limit is not None:
            self._taken = await context.write(items.count, context.row.id)
        if not self._enumeration.state.complete:
            await self._read_all()
        if not self._enumeration.state.complete and not context.stop.requested.is_set():
            await self._writer.store_parked()
            await self._enumeration.end()
        context.discovered = self._enumeration.state.complete
        context.work_available.set()

    async def _read_all(self) -> None:
        """Run the enumeration and the readers until all slices are read, or a stop is requested. Raises LeaseLost."""
        lost: LeaseLost | None = None
        try:
            async with asyncio.TaskGroup() as group:

                def start_reader() -> None:
                    group.create_task(self._stopping(self._read()))

                group.create_task(self._stopping(self._enumeration.run()))
                if self._context.options.limit is None:
                    self._concurrency.begin(start_reader)
                else:  # one after the other: then the items are those of the first slices
                    start_reader()
        except* LeaseLost as errors:
            lost = LeaseLost(str(errors.exceptions[0]))
        if lost is not None:
            raise lost

    async def _stopping(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; an error that concerns all slices requests the stop of the import."""
        try:
            await work
        except ENDING as error:
            self._context.stop.request(error)

    async def _read(self) -> None:
        """Read slices one after the other, until none is left, a stop is requested, or there are more than useful."""
        while not self._concurrency.is_above_target and (claim := await self._next()) is not None:
            self._reading += 1
            try:
                await self._read_slice(claim)
            finally:
                self._reading -= 1
                if self._context.source.is_splitting:
                    self._keys_added.set()  # of its parts; or the readers that wait for them are done
        self._concurrency.end_fetcher()

    async def _next(self) -> SliceClaim | None:
        """Return a claimed slice; None once no slice is left for this reader."""
        context = self._context
        async with self._claiming:
            while not self._is_over:
                if self._ready:
                    return self._ready.popleft()
                self._keys_added.clear()
                is_listed = self._enumeration.state.is_listed  # read before the claim: keys may be added after it
                limit = CLAIMS_PER_READER * context.source.concurrency
                self._ready += await context.write(slices.claim, context.lease, limit, context.clock.now())
                if self._ready:
                    continue
                left = await context.write(slices.left, context.row.id)
                may_split = context.source.is_splitting and self._reading > 0
                if is_listed and not (left.pending or left.waiting or may_split):
                    return None
                await self._wait(left)
        return None

    @property
    def _is_over(self) -> bool:
        """True if a stop is requested, or if the import has as many items as `--limit` allows."""
        limit = self._context.options.limit
        return self._context.stop.requested.is_set() or (limit is not None and self._taken >= limit)

    async def _wait(self, left: SlicesLeft) -> None:
        """Wait for a new key, for the next retry, or for a moment."""
        context, seconds = self._context, POLL_SECONDS
        if self._enumeration.state.is_listed and left.next_attempt_at is not None and not left.pending:
            seconds = max(0.0, (left.next_attempt_at - context.clock.now()).total_seconds())
        waits = [
            asyncio.create_task(context.clock.sleep(seconds)),
            asyncio.create_task(self._keys_added.wait()),
            asyncio.create_task(context.stop.requested.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _read_slice(self, claim: SliceClaim) -> None:
        """Read a slice to its end. A failure concerns this slice only, unless many fail in a row."""
        source = self._context.source
        # Keys of the source's own may be those of changes, such as a window of time since the bookmark.
        is_lasting = source.since is None or source.parent is not None
        row = SliceRow(id=claim.id, key=claim.key, failures=claim.failure_count, is_lasting=is_lasting)
        row.is_partial = self._enumeration.state.reference is not None or self._context.row.retry_of is not None
        try:
            own = await self._new.own_reading_of(claim.key)
            row.is_whole = own is not None and own.since is None
            row.is_lasting |= own is not None
            await self._read_list(row, Checkpoint.read(claim.checkpoint), own or source)
        except PageFailed as error:
            await self._after_failure(row, str(error), kind=str(error), failed=error)
        except ListFailed as error:
            await self._after_failure(row, str(error), kind=error.kind, is_denied=error.is_denied)
        except (HookFailed, OtherOrigin) as error:
            await self._after_failure(row, str(error), kind=str(error))

    async def _read_list(self, row: SliceRow, stored: Checkpoint, source: ImportSource) -> None:
        context = self._context
        of_slice = SourceList(source=source, key=row.key, token_setting=context.token_setting)
        opened = OpenList(
            context=context,
            source_list=of_slice,
            row=row,
            taken=lambda before: self._taken,
        )
        reader = ListReader(opened, self._writer)
        is_short, is_whole = stored.is_short or self._has_short_page, stored.is_whole or row.is_whole
        await reader.resume(replace(stored, is_short=is_short, is_whole=is_whole))
        while not (reader.checkpoint.complete or self._is_over):
            before = reader.checkpoint
            async with self._circuit.attempt():
                await self._measured(reader.read_page())
            self._taken += max(0, reader.checkpoint.seen - before.seen)
            self._has_short_page |= reader.checkpoint.is_short
            context.work_available.set()
            self._breaker.succeeded()
            await context.close_circuit(self._circuit, "List pages arrive again")

    async def _measured(self, page: Coroutine[Any, Any, None]) -> None:
        """Await a page; if pages take long, there are more readers from then on."""
        await (page if self._context.options.limit is not None else self._concurrency.measure(page))

    async def _after_failure(
        self, row: SliceRow, reason: str, *, kind: str, failed: PageFailed | None = None, is_denied: bool = False
    ) -> None:
        """Store the failed try, and its next one if it may succeed later. Many in a row end the import."""
        context, now = self._context, self._context.clock.now()
        row.failures += 1
        again = None if failed is None else context.next_attempt(row.failures, failed.wait)
        if failed is not None and again is None:
            reason = f"{reason}, {row.failures} times"
        await context.write(row.fail, context.lease, now, reason, again)
        end = self._breaker.failed(
            row.key, kind, context.clock.monotonic(), may_pass=failed is not None, is_denied=is_denied
        )
        if end is not None:
            context.stop.request(ImportFailed(f"slices: {end}"))
        if self._breaker.is_open:
            self._circuit.open(f"the last slices all failed ({kind})")
