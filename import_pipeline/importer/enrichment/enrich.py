"""Phase two: fetch the details of every pending item concurrently, and store them in batches.

A feeder claims items, fetchers request their details, one writer stores the results. A fetcher takes its next item only
once its last one is stored: so a crash repeats at most as many requests as there are fetchers.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from sqlalchemy import Connection
from sqlalchemy.orm.attributes import manager_of_class

from import_pipeline.contracts import Importable
from import_pipeline.contracts.batches import is_batched
from import_pipeline.errors import ApiBlocked, ImportFailed, LimiterUnavailable, UsageError
from import_pipeline.importer.enrichment.claimed_items import ClaimedItem, ClaimedItems
from import_pipeline.importer.enrichment.concurrency import AdaptiveConcurrency
from import_pipeline.importer.enrichment.fetch_batch import NOT_REQUESTED, BatchFetcher
from import_pipeline.importer.enrichment.fetch_item import fetch_item
from import_pipeline.importer.enrichment.follow_ups import Begun, follow_up
from import_pipeline.importer.enrichment.outcomes import Outcomes
from import_pipeline.importer.enrichment.writer import ItemWriter
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.ownership import ClaimLost
from import_pipeline.rules.batches import batch_size
from import_pipeline.tracking import claims, items, leases, source_items
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.items import Remaining
from import_pipeline.tracking.user_rows import reading
from import_pipeline.tracking.user_rows.tenant_rows import owned
from import_pipeline.wording import plural

#: Requests claimed ahead. A claim costs a transaction, so fetchers are not served one by one.
CLAIMS_PER_FETCHER = 5
#: Items claimed ahead if a request is for many: each of them holds its row in memory.
MOST_CLAIMED = 5_000
#: Seconds without a new item after which an incomplete batch is sent, although the list is still read.
FILL_SECONDS = 30.0
#: Seconds between two checks for claims whose lease expired, when nothing else is left to do.
POLL_SECONDS = 1.0
#: The same interval if other workers enrich the import as well.
SHARED_POLL_SECONDS = 0.2
#: Tries for refused rows while other workers still store rows that may block them.
MOST_PARKED_TRIES = 25


class Enrichment:
    """The running phase. `run()` returns once no item of the import is unfinished."""

    def __init__(self, context: ImportContext) -> None:
        self.context = context
        self._outcomes = Outcomes(context)
        self.concurrency = AdaptiveConcurrency(context)
        self._claimed = ClaimedItems(self._size)
        self._claimed_at = context.clock.monotonic()  #: when there were new items last
        self._busy = 0  #: fetchers with an item that is not stored yet
        self._idle = asyncio.Event()  #: set once no fetcher has an item
        self._writer = ItemWriter(context, self._outcomes.report)
        self._batches = BatchFetcher(context, self._outcomes.circuit.attempt, self.concurrency.measure, self._submit)
        self._parked_tries = 0  #: tries to store the parked items

    async def run(self) -> None:
        """Fetch until no item is left or a stop is requested; then items in flight are still stored.

        Raises LeaseLost, or an error of the database.
        """
        async with asyncio.TaskGroup() as group:
            writer, fetchers = group.create_task(self._writer.run()), set[asyncio.Task[None]]()

            def start_fetcher() -> None:
                fetcher = group.create_task(self._fetch())
                fetchers.add(fetcher)
                fetcher.add_done_callback(fetchers.discard)

            self.concurrency.begin(start_fetcher)
            feeder = group.create_task(self._feed())
            stopper = asyncio.create_task(self.context.stop.requested.wait())
            try:
                await asyncio.wait({feeder, stopper}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopper.cancel()
            feeder.cancel()
            while self._busy:
                await self._idle.wait()
            for each in (writer, *fetchers):
                each.cancel()
        if others := self._batches.not_requested:
            sentence = f"The answers had {plural(others, 'item')} that were not requested; they are ignored."
            await self.context.note(NOT_REQUESTED, sentence, items=others)

    async def _feed(self) -> None:
        """Claim items for the fetchers while there are any, or more may be listed."""
        context = self.context
        while True:
            context.work_available.clear()
            listed = context.discovered  # read before the claim: a page that is stored later sets work_available
            claimed = await self._claim(self._stock() - len(self._claimed))
            if claimed:
                self._claimed.add(claimed)
                self._claimed_at = context.clock.monotonic()
            while len(self._claimed) > self._stock() // 2:
                await self._claimed.taken.wait()
                self._claimed.taken.clear()
            if not claimed:
                left = await context.write(items.remaining, context.row.id)
                self._outcomes.may_have_retries = left.waiting > 0
                if listed and left.unfinished == 0:
                    return
                if not left.pending and (listed or context.clock.monotonic() - self._claimed_at >= FILL_SECONDS):
                    self._claimed.give_incomplete()
                if await self._store_parked(left):
                    continue
                await self._wait(left)
                await context.refresh_discovered()

    def _size(self, failures: int) -> int:
        """Return the number of items in one request, for items that have failed so often."""
        return batch_size(self._batches.most, failures, self.context.source.retry.tries)

    def _stock(self) -> int:
        """Return the number of items to claim ahead: for full batches, if requests are for many."""
        size, fetchers = self._batches.most, max(1, self.concurrency.fetchers)
        ahead = CLAIMS_PER_FETCHER if size == 1 else max(1, min(CLAIMS_PER_FETCHER, MOST_CLAIMED // (size * fetchers)))
        return ahead * fetchers * size

    async def _claim(self, limit: int) -> list[ClaimedItem]:
        context, model = self.context, self.context.source.model

        def unit(connection: Connection) -> list[ClaimedItem]:
            claimed = claims.claim(
                connection, context.lease, limit, context.clock.now(), retries=self._outcomes.may_have_retries
            )
            source = context.source
            rows = reading.load(connection, model, [claim.external_id for claim in claimed], source.name)
            if context.source.conditional:
                # Only an item whose row is stored may be left unchanged.
                tags = source_items.etags(connection, context.source.name, list(rows))
                claimed = [replace(claim, etag=tags.get(claim.external_id)) for claim in claimed]
            found = ((claim, rows.get(claim.external_id)) for claim in claimed)
            filled = [(claim, _new_row(model, claim.external_id) if row is None else row) for claim, row in found]
            return [ClaimedItem(claim=claim, importable=owned(row, source)) for claim, row in filled]

        claimed = await context.write(unit)
        if context.ownership is not None:
            context.ownership.took([item.claim.status_id for item in claimed])
        return claimed

    async def _wait(self, left: Remaining) -> None:
        """Wait until a page is stored, a retry is due, or it is time to check for expired claims."""
        context = self.context
        seconds = POLL_SECONDS if context.workers == 1 else SHARED_POLL_SECONDS
        counted: AbstractContextManager[None] = nullcontext()
        if left.processing == 0 and left.next_attempt_at is not None and left.pending == 0:
            seconds = (left.next_attempt_at - context.clock.now()).total_seconds()
            counted = context.retry_wait.counted() if context.discovered else counted
        waiter = asyncio.create_task(context.work_available.wait())
        sleeper = asyncio.create_task(context.clock.sleep(max(0.0, seconds)))
        try:
            with counted:
                await asyncio.wait({waiter, sleeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            sleeper.cancel()

    async def _fetch(self) -> None:
        """Fetch item after item or batch after batch, until a stop is requested or there are more fetchers than useful.

        A response after which no request makes sense requests the stop of the whole import.
        """
        context = self.context
        while not (context.stop.requested.is_set() or self.concurrency.is_above_target):
            taken = await self._claimed.take()
            claims = [taken.done.claim] if isinstance(taken, Begun) else [item.claim for item in taken]
            self._busy += 1
            self._idle.clear()
            try:
                if isinstance(taken, Begun) or not is_batched(context.source):
                    await self._fetch_one(taken if isinstance(taken, Begun) else taken[0])
                else:
                    await self._batches.fetch(taken)
            except ClaimLost:
                await context.write(leases.release_claims, context.lease, [claim.status_id for claim in claims])
            except (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError) as error:
                context.stop.request(error)
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        self.concurrency.end_fetcher()

    async def _fetch_one(self, item: ClaimedItem | Begun) -> None:
        """Fetch an item, or the rest of it, and store it; leave it if a stop is requested between its requests."""
        context, measure = self.context, self.concurrency.measure
        async with self._outcomes.circuit.attempt():  # until the item is stored, which may close the circuit
            fetched = item if isinstance(item, Begun) else await measure(fetch_item(context, item))
            while isinstance(fetched, Begun):
                if context.stop.requested.is_set():
                    return
                fetched = await measure(follow_up(context, fetched))
            await self._writer.submit([fetched])

    async def _submit(self, answer: Sequence[Done | Begun | Failure]) -> None:
        """Store the items of an answer, and pass on those that want a follow-up request."""
        for each in answer:
            if isinstance(each, Begun):
                self._claimed.add_begun(each)
        await self._writer.submit([each for each in answer if not isinstance(each, Begun)])

    async def _store_parked(self, left: Remaining) -> bool:
        """Store the held items, and try the parked rows, once all others are done. Return True after the last try."""
        kept = self._writer.parked or self._writer.held
        if not kept or left.pending or left.waiting or self._busy or not self.context.discovered:
            return False
        if self._writer.held:
            if await self._outcomes.accept_as_gone(self._writer.held):
                await self._writer.store_held()
            return not self._writer.parked
        self._parked_tries += 1
        others = left.processing > len(self._writer.parked) and self._parked_tries < MOST_PARKED_TRIES
        await self._writer.store_parked(is_last=not others)
        return not others


def _new_row(model: type[Importable], external_id: str) -> Importable:
    """Return a row for a chosen item that was never imported before, or whose row the user has deleted since.

    SQLAlchemy creates it as it creates loaded rows: the user's constructor may require arguments.
    """
    importable: Importable = manager_of_class(model).new_instance()
    importable.external_id = external_id
    return importable


async def enrich(context: ImportContext) -> None:
    """Fetch the details of all items of the import, including those that discovery adds meanwhile."""
    await Enrichment(context).run()
