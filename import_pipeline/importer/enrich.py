"""Phase two: fetch the details of every pending item, concurrently, and store them in batches.

A feeder claims items, `concurrency` fetchers take them, one writer stores what they bring. A fetcher asks for its next
item only when its last one is stored: so a crash repeats at most as many requests as there are fetchers.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import httpx
from sqlalchemy import Connection

from import_pipeline.contracts import Importable
from import_pipeline.errors import ImportFailed, ItemRejected, ItemRetryable
from import_pipeline.importer.discover import BAD_PAYLOAD, describe
from import_pipeline.importer.work import Work
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.breaker import Breaker
from import_pipeline.rules.outcome import Verdict, judge
from import_pipeline.tracking import claims, importables, items
from import_pipeline.tracking.claims import Claim, Done, Failure
from import_pipeline.tracking.items import Remaining

#: Items claimed ahead. A claim costs a transaction, so fetchers are not served one by one.
CLAIMS_PER_FETCHER = 5
#: Seconds between two looks for claims whose lease ran out, when nothing else is left to do.
PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a fetcher brings: exactly one of the two, and the moment at which the writer has stored it."""

    result: Done | Failure
    stored: asyncio.Future[None]


class Enrichment:
    """The running phase. `run()` returns when no item of the import is unfinished."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.breaker = Breaker()
        self._ready: asyncio.Queue[tuple[Claim, Importable]] = asyncio.Queue()
        self._stock = CLAIMS_PER_FETCHER * work.source.concurrency
        self._retries = True  #: whether an item may wait for a retry: one of ours, or an earlier process's
        self._taken = asyncio.Event()  #: a fetcher has taken an item
        self._fetched: asyncio.Queue[Fetched] = asyncio.Queue()

    async def run(self) -> None:
        """Fetch until nothing is left. Raises ImportFailed, LeaseLost, or what the stores raise."""
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._write())]
            helpers += [group.create_task(self._fetch()) for _ in range(self.work.source.concurrency)]
            await self._feed()
            for helper in helpers:
                helper.cancel()

    async def _feed(self) -> None:
        """Claim items for the fetchers as long as there are any, or any may come."""
        while True:
            self.work.stirred.clear()
            listed = self.work.discovered  # read before the claim: a page that comes after it has stirred us
            claimed = await self._claim(self._stock - self._ready.qsize())
            for pair in claimed:
                self._ready.put_nowait(pair)
            while self._ready.qsize() > self._stock // 2:
                await self._taken.wait()
                self._taken.clear()
            if not claimed:
                left = await self.work.write(items.remaining, self.work.row.id)
                self._retries = left.waiting > 0
                if listed and left.unfinished == 0:
                    return
                await self._wait(left)

    async def _claim(self, limit: int) -> list[tuple[Claim, Importable]]:
        work = self.work

        def take(connection: Connection) -> list[tuple[Claim, Importable]]:
            taken = claims.claim(connection, work.lease, limit, work.clock.now(), retries=self._retries)
            rows = importables.load(connection, work.source.model, [claim.external_id for claim in taken])
            return [(claim, rows.get(claim.external_id) or self._blank(claim.external_id)) for claim in taken]

        return await work.write(take)

    def _blank(self, external_id: str) -> Importable:
        """A row for a chosen item that was never imported before, or that the user has deleted meanwhile."""
        importable: Importable = self.work.source.model()
        importable.external_id = external_id
        return importable

    async def _wait(self, left: Remaining) -> None:
        """Until a page is stored, a retry is due, or it is time to look for lost claims."""
        now = self.work.clock.now()
        seconds = PATIENCE_SECONDS
        if left.processing == 0 and left.next_attempt_at is not None and left.pending == 0:
            seconds = (left.next_attempt_at - now).total_seconds()
        waiter = asyncio.create_task(self.work.stirred.wait())
        sleeper = asyncio.create_task(self.work.clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait({waiter, sleeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            sleeper.cancel()

    async def _fetch(self) -> None:
        """One fetcher."""
        while True:
            claim, importable = await self._ready.get()
            self._taken.set()
            result = await self._import(claim, importable)
            stored = asyncio.get_running_loop().create_future()
            self._fetched.put_nowait(Fetched(result=result, stored=stored))
            await stored

    async def _import(self, claim: Claim, importable: Importable) -> Done | Failure:
        """Fetch and read one item. Raises ImportFailed when the API says that no request will work."""
        try:
            await self._read(importable)
        except ItemRejected as error:
            return Failure(claim=claim, reason=str(error), next_attempt_at=None)
        except ItemRetryable as error:
            return Failure(claim=claim, reason=str(error), next_attempt_at=self._next_attempt(claim))
        return Done(claim=claim, importable=importable)

    async def _read(self, importable: Importable) -> None:
        """Send the item's request and let the importable take the answer over. Raises ItemError or ImportFailed."""
        name = type(importable).__name__
        try:
            request = importable.detail_request()
        except BAD_PAYLOAD as error:
            raise ItemRejected(f"{name}.detail_request fails: {type(error).__name__}: {error}") from error
        if request is None:
            raise ItemRejected(f"{name}.detail_request gives no request: the item comes whole from the list only")
        response = await self._ask(request)
        judgement = judge(response.status_code)
        match judgement.verdict:
            case Verdict.STOP:
                raise ImportFailed(judgement.reason)
            case Verdict.REJECT:
                raise ItemRejected(judgement.reason)
            case Verdict.AGAIN:
                raise ItemRetryable(judgement.reason)
        try:
            detail = self.work.source.detail(response)
        except BAD_PAYLOAD as error:
            raise ItemRejected(f"the detail's body is not what was expected: {error}") from error
        try:
            importable.populate(detail)
        except BAD_PAYLOAD as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ItemRejected(f"{name}.populate rejects the detail: {what}") from error

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        """The answer. A connection that breaks is tried once more at once: servers close idle ones at any time."""
        for last in (False, True):
            try:
                return await self.work.api.send(request)
            except httpx.ReadError as error:
                if last:
                    raise ItemRetryable(describe(error, self.work.source.timeout)) from error
            except httpx.TransportError as error:
                raise ItemRetryable(describe(error, self.work.source.timeout)) from error
        raise AssertionError("unreachable")

    def _next_attempt(self, claim: Claim) -> datetime | None:
        failures = claim.failure_count + 1
        retry = self.work.source.retry
        if failures >= retry.tries:
            return None
        return self.work.clock.now() + retry_delay(failures, retry.backoff, self.work.chance())

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
            self.work.stirred.set()

    async def _store(self, batch: list[Fetched]) -> None:
        done = [each.result for each in batch if isinstance(each.result, Done)]
        failed = [each.result for each in batch if isinstance(each.result, Failure)]
        work = self.work

        def store(connection: Connection) -> list[Failure]:
            now = work.clock.now()
            if failed:
                claims.fail(connection, work.lease, failed, now)
            return claims.complete(connection, work.row, work.lease, work.source.model, done, now) if done else []

        refused = await work.write(store)
        self._retries = self._retries or any(failure.next_attempt_at for failure in failed)
        refused_ids = {failure.claim.status_id for failure in refused}
        stored = [each.claim.external_id for each in done if each.claim.status_id not in refused_ids]
        if stored:
            work.listener.items_stored(stored)
        self._judge(stored, [*failed, *refused])

    def _judge(self, stored: list[str], failed: list[Failure]) -> None:
        if stored:
            self.breaker.succeeded()
        for failure in failed:
            if (reason := self.breaker.failed(failure.claim.external_id, failure.reason)) is not None:
                raise ImportFailed(reason)


async def enrich(work: Work) -> None:
    """Fetch the details of all items of the import, those that discovery still brings included."""
    await Enrichment(work).run()
