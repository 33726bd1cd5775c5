"""Phase two: fetch the details of every pending item concurrently, and store them in batches.

A feeder claims items, fetchers request their details, one writer stores the results. A fetcher takes its next item only
once its last one is stored: so a crash repeats at most as many requests as there are fetchers.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from sqlalchemy import Connection
from sqlalchemy.orm.attributes import manager_of_class

from import_pipeline.contracts import Importable
from import_pipeline.errors import ApiBlocked, ImportFailed, LimiterUnavailable, UsageError
from import_pipeline.importer.enrichment.concurrency import AdaptiveConcurrency
from import_pipeline.importer.enrichment.fetch_item import fetch_item
from import_pipeline.importer.enrichment.writer import ItemWriter, Written
from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.ownership import ClaimLost
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.logs import report
from import_pipeline.rules.circuit_breaker import CircuitBreaker
from import_pipeline.tracking import claims, items, leases, source_items
from import_pipeline.tracking.claims import Claim, Failure
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import Remaining
from import_pipeline.tracking.user_rows import reading
from import_pipeline.wording import plural

#: Items claimed ahead. A claim costs a transaction, so fetchers are not served one by one.
CLAIMS_PER_FETCHER = 5
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
        self.breaker = CircuitBreaker(context.source.max_outage)
        self.concurrency = AdaptiveConcurrency(context)
        self._circuit = Circuit(context.clock, context.chance, context.record_wait)  #: open while the breaker is open
        self._ready: asyncio.Queue[tuple[Claim, Importable]] = asyncio.Queue()
        self._retries = True  #: an item may wait for a retry, of this process or of an earlier one
        self._busy = 0  #: fetchers with an item that is not stored yet
        self._idle = asyncio.Event()  #: set once no fetcher has an item
        self._taken = asyncio.Event()  #: set once a fetcher has taken an item
        self._writer = ItemWriter(context, self._report)
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

    async def _feed(self) -> None:
        """Claim items for the fetchers while there are any, or more may be listed."""
        context = self.context
        while True:
            context.work_available.clear()
            listed = context.discovered  # read before the claim: a page that is stored later sets work_available
            stock = CLAIMS_PER_FETCHER * self.concurrency.fetchers
            claimed = await self._claim(stock - self._ready.qsize())
            for pair in claimed:
                self._ready.put_nowait(pair)
            while self._ready.qsize() > CLAIMS_PER_FETCHER * self.concurrency.fetchers // 2:
                await self._taken.wait()
                self._taken.clear()
            if not claimed:
                left = await context.write(items.remaining, context.row.id)
                self._retries = left.waiting > 0
                if listed and left.unfinished == 0:
                    return
                if await self._store_parked(left):
                    continue
                await self._wait(left)
                await context.refresh_discovered()

    async def _claim(self, limit: int) -> list[tuple[Claim, Importable]]:
        context, model = self.context, self.context.source.model

        def unit(connection: Connection) -> list[tuple[Claim, Importable]]:
            claimed = claims.claim(connection, context.lease, limit, context.clock.now(), retries=self._retries)
            rows = reading.load(connection, model, [claim.external_id for claim in claimed])
            if context.source.conditional:
                # Only an item whose row is stored may be left unchanged.
                tags = source_items.etags(connection, context.source.name, list(rows))
                claimed = [replace(claim, etag=tags.get(claim.external_id)) for claim in claimed]
            found = ((claim, rows.get(claim.external_id)) for claim in claimed)
            return [(claim, _new_row(model, claim.external_id) if row is None else row) for claim, row in found]

        claimed = await context.write(unit)
        if context.ownership is not None:
            context.ownership.took([claim.status_id for claim, _ in claimed])
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
        """Fetch items one after the other, until a stop is requested or there are more fetchers than useful.

        A response after which no request makes sense requests the stop of the whole import.
        """
        context = self.context
        while not (context.stop.requested.is_set() or self.concurrency.is_above_target):
            claim, importable = await self._ready.get()
            self._taken.set()
            self._busy += 1
            self._idle.clear()
            try:
                async with self._circuit.attempt():  # until the item is stored, which may close the circuit
                    fetched = await self.concurrency.measure(fetch_item(context, claim, importable))
                    await self._writer.submit(fetched)
            except ClaimLost:
                await context.write(leases.release_claim, context.lease, claim.status_id)
            except (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError) as error:
                context.stop.request(error)
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        self.concurrency.end_fetcher()

    async def _report(self, written: Written) -> None:
        """Report a stored batch to the listener and to the circuit breaker."""
        self._retries = self._retries or any(failure.next_attempt_at for failure in written.failed)
        if written.stored:
            self.context.listener.items_stored(
                [
                    StoredItem(
                        external_id=each.claim.external_id,
                        tries=each.claim.failure_count + 1,
                        request_seconds=each.request_seconds,
                        http_status=each.http_status,
                    )
                    for each in written.stored
                ]
            )
        await self._update_circuit(written)

    async def _store_parked(self, left: Remaining) -> bool:
        """Try the parked rows again once all other items are done. Return True if that was the last try."""
        if not self._writer.parked or left.pending or left.waiting or self._busy or not self.context.discovered:
            return False
        self._parked_tries += 1
        others = left.processing > len(self._writer.parked) and self._parked_tries < MOST_PARKED_TRIES
        await self._writer.store_parked(is_last=not others)
        return not others

    async def _update_circuit(self, written: Written) -> None:
        """Open the circuit while no item succeeds, close it when one does, stop if that takes too long."""
        context, failed = self.context, written.failed
        if written.stored:
            self.breaker.succeeded()
        if failed:
            report_failures(context.row, failed)
        for failure in failed:
            end = self.breaker.failed(
                failure.claim.external_id,
                failure.reason,
                context.clock.monotonic(),
                may_pass=failure.may_pass,
                is_denied=failure.is_denied,
            )
            if end is not None:
                context.stop.request(ImportFailed(end))
        if self.breaker.is_open:
            reason = f" ({failed[-1].reason})" if failed else ""
            self._circuit.open(f"the last items all failed{reason}")
        elif (seconds := self._circuit.open_for) is not None:
            self._circuit.close()
            await context.note("import_goes_on", f"Details arrive again after {seconds:.0f} s.")


def _new_row(model: type[Importable], external_id: str) -> Importable:
    """Return a row for a chosen item that was never imported before, or whose row the user has deleted since.

    SQLAlchemy creates it as it creates loaded rows: the user's constructor may require arguments.
    """
    importable: Importable = manager_of_class(model).new_instance()
    importable.external_id = external_id
    return importable


def report_failures(row: ImportRow, failed: Sequence[Failure]) -> None:
    """Log one line for the failures of a batch, with the first of their reasons."""
    final = sum(failure.next_attempt_at is None for failure in failed)
    first = failed[0]
    sentence = f"{failed_tries(len(failed), final)}; item {first.claim.external_id}: {first.reason}."
    level = logging.WARNING if final else logging.INFO
    report("items_failed", sentence, level=level, import_id=row.id, source=row.source, count=len(failed), lost=final)


def failed_tries(tries: int, final: int) -> str:
    """Return `1 try failed, permanently` or `3 tries failed, 2 of them permanently`."""
    text = f"{plural(tries, 'try', 'tries')} failed"
    if final == tries:
        return f"{text}, {'permanently' if tries == 1 else 'all permanently'}"
    return f"{text}, {final} of them permanently" if final else text


async def enrich(context: ImportContext) -> None:
    """Fetch the details of all items of the import, including those that discovery adds meanwhile."""
    await Enrichment(context).run()
