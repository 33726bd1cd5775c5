"""Phase two: fetch the details of every pending item, concurrently, and store them in batches.

A feeder claims items, `concurrency` fetchers take them, one writer stores what they bring. A fetcher asks for its next
item only when its last one is stored: so a crash repeats at most as many requests as there are fetchers.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy.orm.attributes import manager_of_class

from import_pipeline.contracts import Importable
from import_pipeline.errors import ApiBlocked, ImportFailed, LimiterUnavailable, UsageError
from import_pipeline.importer.enrichment.fetch_item import fetch_item
from import_pipeline.importer.enrichment.item_writer import ItemWriter, Written
from import_pipeline.importer.file_descriptors import room
from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.ownership import ClaimLost
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.logs import report
from import_pipeline.ratelimit import parse_tiers
from import_pipeline.rules.circuit_breaker import CircuitBreaker
from import_pipeline.rules.concurrency import in_flight, mean_latency, too_many, within
from import_pipeline.tracking import claims, items, leases, source_items
from import_pipeline.tracking.claims import Claim, Done, Failure
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import Remaining
from import_pipeline.tracking.user_rows import reading
from import_pipeline.wording import plural

#: Items claimed ahead. A claim costs a transaction, so fetchers are not served one by one.
CLAIMS_PER_FETCHER = 5
#: Seconds between two looks for claims whose lease ran out, when nothing else is left to do.
PATIENCE_SECONDS = 1.0
#: The same where other workers do something at any moment.
SHARED_PATIENCE_SECONDS = 0.2
#: So often refused rows are tried again while other workers still store some that may stand in their way.
PATIENT_TRIES = 25


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a fetcher brings: exactly one of the two, and the moment at which the writer has stored it."""

    result: Done | Failure
    stored: asyncio.Future[None]


class Enrichment:
    """The running phase. `run()` returns when no item of the import is unfinished."""

    def __init__(self, work: ImportContext) -> None:
        self.work = work
        self.breaker = CircuitBreaker(work.source.max_outage)
        self._circuit = Circuit(work.clock, work.chance, work.record_wait)  #: open while the breaker is open
        self._ready: asyncio.Queue[tuple[Claim, Importable]] = asyncio.Queue()
        self._retries = True  #: whether an item may wait for a retry: one of ours, or an earlier process's
        self._tiers = parse_tiers(work.source.limits)
        self._latency: float | None = None  #: seconds that an answer takes, a running mean
        self._room = room()  #: connections that this process may open
        self._fetchers = 0
        self._add_fetcher: Callable[[], None] = lambda: None  #: set while the phase runs
        self._busy = 0  #: fetchers with an item that is not stored yet
        self._idle = asyncio.Event()  #: the last of them has none any more
        self._taken = asyncio.Event()  #: a fetcher has taken an item
        self._fetched: asyncio.Queue[Fetched] = asyncio.Queue()
        self._writer = ItemWriter(work)
        self._parked_tries = 0  #: how often what was refused was tried again

    async def run(self) -> None:
        """Fetch until nothing is left, or until the work is to stop: then what is in flight is still stored.

        Raises LeaseLost, or what the stores raise.
        """
        async with asyncio.TaskGroup() as group:
            writer, fetchers = group.create_task(self._write()), set[asyncio.Task[None]]()

            def add_fetcher() -> None:
                fetcher = group.create_task(self._fetch())
                fetchers.add(fetcher)
                fetcher.add_done_callback(fetchers.discard)

            self._add_fetcher = add_fetcher
            for _ in range(within(self.work.source.concurrency, self._room)):
                self._grow()
            feeder = group.create_task(self._feed())
            stopper = asyncio.create_task(self.work.stop.requested.wait())
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
        """Claim items for the fetchers as long as there are any, or any may come."""
        while True:
            self.work.work_available.clear()
            listed = self.work.discovered  # read before the claim: a page that comes after it has work_available us
            claimed = await self._claim(self._stock() - self._ready.qsize())
            for pair in claimed:
                self._ready.put_nowait(pair)
            while self._ready.qsize() > self._stock() // 2:
                await self._taken.wait()
                self._taken.clear()
            if not claimed:
                left = await self.work.write(items.remaining, self.work.row.id)
                self._retries = left.waiting > 0
                if listed and left.unfinished == 0:
                    return
                if await self._store_parked(left):
                    continue
                await self._wait(left)
                await self.work.look_for_end_of_list()

    def _stock(self) -> int:
        """How many items are claimed ahead."""
        return CLAIMS_PER_FETCHER * self._fetchers

    async def _claim(self, limit: int) -> list[tuple[Claim, Importable]]:
        work = self.work

        def take(connection: Connection) -> list[tuple[Claim, Importable]]:
            taken = claims.claim(connection, work.lease, limit, work.clock.now(), retries=self._retries)
            ids = [claim.external_id for claim in taken]
            rows = reading.load(connection, work.source.model, ids)
            if work.source.conditional:
                # Only what is stored may stay as it is.
                tags = source_items.etags(connection, work.source.name, list(rows))
                taken = [replace(claim, etag=tags.get(claim.external_id)) for claim in taken]
            found = ((claim, rows.get(claim.external_id)) for claim in taken)
            return [(claim, self._blank(claim.external_id) if row is None else row) for claim, row in found]

        taken = await work.write(take)
        if work.assurance is not None:
            work.assurance.took([claim.status_id for claim, _ in taken])
        return taken

    def _blank(self, external_id: str) -> Importable:
        """A row for a chosen item that was never imported before, or that the user has deleted meanwhile.

        It is made as SQLAlchemy makes the rows that it loads: a constructor of the user's may want arguments.
        """
        importable: Importable = manager_of_class(self.work.source.model).new_instance()
        importable.external_id = external_id
        return importable

    async def _wait(self, left: Remaining) -> None:
        """Until a page is stored, a retry is due, or it is time to look for lost claims."""
        now = self.work.clock.now()
        seconds = PATIENCE_SECONDS if self.work.workers == 1 else SHARED_PATIENCE_SECONDS
        if left.processing == 0 and left.next_attempt_at is not None and left.pending == 0:
            seconds = (left.next_attempt_at - now).total_seconds()
        waiter = asyncio.create_task(self.work.work_available.wait())
        sleeper = asyncio.create_task(self.work.clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait({waiter, sleeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            sleeper.cancel()

    async def _fetch(self) -> None:
        """One fetcher. An answer after which no request makes sense asks the whole work to stop.

        It ends between two items when there are more fetchers than answers so fast have use for.
        """
        while not (self.work.stop.requested.is_set() or self._is_one_too_many()):
            claim, importable = await self._ready.get()
            self._taken.set()
            self._busy += 1
            self._idle.clear()
            try:
                async with self._circuit.attempt():  # until the item is stored, which may close the circuit
                    await self._bring(await self._timed(claim, importable))
            except ClaimLost:
                await self.work.write(leases.give_back, self.work.lease, claim.status_id)
            except (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError) as error:
                self.work.stop.request(error)
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        self._fetchers -= 1

    async def _timed(self, claim: Claim, importable: Importable) -> Done | Failure:
        """Fetch an item. How long answers take, waits for permits apart, decides how many fetchers there are."""
        limiter, clock = self.work.api.limiter, self.work.clock
        circuit, trips = self.work.circuit, self.work.circuit.trips
        waits, began = limiter.blocked_for() or circuit.open_for is not None, clock.monotonic()
        result = await fetch_item(self.work, claim, importable)
        if not waits and not limiter.blocked_for() and circuit.trips == trips:
            self._latency = mean_latency(self._latency, clock.monotonic() - began)
            if self._fetchers < self._wanted(self._latency):
                self._grow()
        return result

    def _wanted(self, latency_seconds: float) -> int:
        source = self.work.source
        wanted = in_flight(self._tiers, latency_seconds, least=source.concurrency, most=source.ceiling)
        return within(wanted, self._room)

    def _is_one_too_many(self) -> bool:
        return self._latency is not None and too_many(self._fetchers, self._wanted(self._latency))

    def _grow(self) -> None:
        self._fetchers += 1
        self._add_fetcher()

    async def _bring(self, result: Done | Failure) -> None:
        """Hand a result to the writer, and wait until it is stored."""
        stored = asyncio.get_running_loop().create_future()
        self._fetched.put_nowait(Fetched(result=result, stored=stored))
        await stored

    async def _write(self) -> None:
        """The writer: whatever has come while it wrote is its next batch."""
        while True:
            batch = [await self._fetched.get()]
            while not self._fetched.empty():
                batch.append(self._fetched.get_nowait())
            await self._store(batch)
            for each in batch:
                if not each.stored.done():
                    each.stored.set_result(None)
            self.work.work_available.set()

    async def _store(self, batch: list[Fetched]) -> None:
        done = [each.result for each in batch if isinstance(each.result, Done)]
        failed = [each.result for each in batch if isinstance(each.result, Failure)]
        written = await self._writer.store(done, failed)
        self._retries = self._retries or any(failure.next_attempt_at for failure in failed)
        await self._told(written, failed)

    async def _told(self, written: Written, failed: Sequence[Failure] = ()) -> None:
        """Tell the listener and the breaker what became of fetched items."""
        stored = [
            StoredItem(
                external_id=each.claim.external_id,
                tries=each.claim.failure_count + 1,
                request_seconds=each.request_seconds,
                http_status=each.http_status,
            )
            for each in written.stored
        ]
        if stored:
            self.work.listener.items_stored(stored)
        await self._judge(stored, [*failed, *written.failed])

    async def _store_parked(self, left: Remaining) -> bool:
        """Try what was refused once more, when all else is done; False where that is not so yet."""
        if not self._writer.parked or left.pending or left.waiting or self._busy or not self.work.discovered:
            return False
        self._parked_tries += 1
        others = left.processing > len(self._writer.parked) and self._parked_tries < PATIENT_TRIES
        await self._told(await self._writer.store_parked(for_good=not others))
        return not others

    async def _judge(self, stored: Sequence[StoredItem], failed: list[Failure]) -> None:
        """Hold back while nothing works, go on when something does, end when it takes too long."""
        work = self.work
        if stored:
            self.breaker.succeeded()
        if failed:
            tell_failed(work.row, failed)
        for failure in failed:
            end = self.breaker.failed(
                failure.claim.external_id,
                failure.reason,
                work.clock.monotonic(),
                may_pass=failure.may_pass,
                is_denied=failure.is_denied,
            )
            if end is not None:
                work.stop.request(ImportFailed(end))
        if self.breaker.is_open:
            self._circuit.open(
                f"the last items all failed ({failed[-1].reason})" if failed else "the last items failed"
            )
        elif (seconds := self._circuit.open_for) is not None:
            self._circuit.close()
            await work.note("import_goes_on", f"Details come again after {seconds:.0f} s.")


def tell_failed(row: ImportRow, failed: Sequence[Failure]) -> None:
    """One line for the failures of a batch, with the first of its reasons."""
    for_good = sum(failure.next_attempt_at is None for failure in failed)
    first = failed[0]
    sentence = f"{tries_failed(len(failed), for_good)}; item {first.claim.external_id}: {first.reason}."
    level = logging.WARNING if for_good else logging.INFO
    report("items_failed", sentence, level=level, import_id=row.id, source=row.source, count=len(failed), lost=for_good)


def tries_failed(tries: int, for_good: int) -> str:
    """`1 try failed, for good`; `3 tries failed, 2 of them for good`."""
    said = f"{plural(tries, 'try', 'tries')} failed"
    if for_good == tries:
        return f"{said}, {'for good' if tries == 1 else 'all for good'}"
    return f"{said}, {for_good} of them for good" if for_good else said


async def enrich(work: ImportContext) -> None:
    """Fetch the details of all items of the import, those that discovery still brings included."""
    await Enrichment(work).run()
