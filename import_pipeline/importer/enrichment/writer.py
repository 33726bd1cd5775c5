"""Store fetched items: a batch in one transaction, and rows that the user's table refuses apart from the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import StatementError

from import_pipeline.contracts import Importable
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.tracking import claims
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.user_rows.row_rescue import Apart, store_apart, store_swaps
from import_pipeline.tracking.user_rows.row_swaps import exchanging_groups
from import_pipeline.tracking.user_rows.row_writing import RowsRefused, refusal_of

#: Items after which a transaction takes no further answer.
MOST_TOGETHER = 2_000
#: Passes of the event loop, none of which waits, in which answers that have arrived join a batch: a transaction costs
#: as much as ten items of it.
GATHERING_PASSES = 4
#: Most items that wait for the rest of the import; an item that is refused beyond that has failed immediately.
MOST_PARKED = 1_000


@dataclass(frozen=True, kw_only=True)
class Written:
    """A batch as it was stored. `failed` has the failed attempts, and the items that the user's table refused.

    `held`: items that are gone by their status alone, and are not stored before another item proves the address right.
    """

    stored: list[Done]
    failed: list[Failure]
    held: list[Done] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Submitted:
    """The results of an answer, and the future that ends once they are stored."""

    results: Sequence[Done | Failure]
    stored: asyncio.Future[None]


class ItemWriter:
    """Stores the results of the fetchers. A row that another one blocks is parked until the others are stored.

    Items that are gone by their status alone are held: a wrong address must not look like items that are all gone.
    `on_written` is awaited after each batch, before its fetchers continue.
    """

    def __init__(self, context: ImportContext, on_written: Callable[[Written], Awaitable[None]]) -> None:
        self.context = context
        self.parked: list[tuple[Done, RowsRefused]] = []
        self.held: list[Done] = []
        self._on_written = on_written
        self._queue: asyncio.Queue[_Submitted] = asyncio.Queue()

    async def submit(self, results: Sequence[Done | Failure]) -> None:
        """Queue the results of an answer, and return once they are stored, in one transaction."""
        if not results:
            return
        stored = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Submitted(results=results, stored=stored))
        await stored

    async def run(self) -> None:
        """Store results until cancelled. Results that arrive during a write are the next batch. Raises LeaseLost."""
        while True:
            batch = [await self._queue.get()]
            results = [*batch[0].results]
            for _ in range(GATHERING_PASSES):
                await asyncio.sleep(0)
                while not self._queue.empty() and len(results) < MOST_TOGETHER:
                    batch.append(self._queue.get_nowait())
                    results += batch[-1].results
            written = await self.context.in_writer_thread(partial(self._store, results))
            await self._on_written(written)
            for each in batch:
                if not each.stored.done():
                    each.stored.set_result(None)
            self.context.work_available.set()

    async def store_held(self) -> None:
        """Store the held items as gone: the import has no other items, and they are few."""
        held, self.held = self.held, []
        await self._on_written(await self.context.in_writer_thread(partial(self._store_batch, held, [])))

    async def store_parked(self, *, is_last: bool) -> None:
        """Try the parked items again. On the last try, the ones that are refused again have failed."""
        written = await self.context.in_writer_thread(partial(self._store_parked, is_last=is_last))
        await self._on_written(written)

    def _store(self, results: Sequence[Done | Failure]) -> Written:
        done = [each for each in results if isinstance(each, Done)]
        failed = [each for each in results if isinstance(each, Failure)]
        doubtful = [each for each in done if each.is_doubtful]
        if len(doubtful) == len(done):
            self.held += doubtful
            done = []
        else:
            done, self.held, doubtful = [*self.held, *done], [], []
        written = self._store_batch(done, failed)
        return replace(written, held=doubtful)

    def _store_batch(self, done: list[Done], failed: list[Failure]) -> Written:
        context = self.context

        def unit(connection: Connection) -> None:
            if failed:
                self._fail(connection, failed)
            if done:
                self._complete(connection, done)

        try:
            context.transact(unit)
        except (RowsRefused, StatementError) as error:
            if refusal_of(error, context.source.model) is None:
                raise
        else:
            return Written(stored=done, failed=failed)
        if failed:
            context.transact(partial(self._fail, failures=failed))
        written = self._park(store_apart(context.source.model, done, self._attempt), is_last=False)
        return Written(stored=written.stored, failed=[*failed, *written.failed])

    def _store_parked(self, *, is_last: bool) -> Written:
        parked, self.parked = self.parked, []
        model = self.context.source.model
        return self._park(store_swaps(model, parked, self._attempt, self._groups), is_last=is_last)

    def _attempt(self, done: Sequence[Done], swaps: bool) -> None:
        self.context.transact(partial(self._complete, done=done, swaps=swaps))

    def _complete(self, connection: Connection, done: Sequence[Done], *, swaps: bool = False) -> None:
        context = self.context
        sent, now, model = context.pending_counts.drain(connection), context.clock.now(), context.source.model
        claims.complete(connection, context.row, context.lease, model, done, now, sent=sent, swaps=swaps)

    def _groups(self, done: Sequence[Done]) -> list[list[Done]]:
        by_row: dict[int, Done] = {id(each.importable): each for each in done}
        rows: list[Importable] = [each.importable for each in done]
        context = self.context
        groups = context.transact(lambda connection: exchanging_groups(connection, context.source.model, rows))
        return [[by_row[id(row)] for row in group] for group in groups]

    def _park(self, result: Apart[Done], *, is_last: bool) -> Written:
        """Park the items that wait for others; store the others that were refused as failed."""
        room = 0 if is_last else max(0, MOST_PARKED - len(self.parked))
        self.parked += result.waiting[:room]
        refused = [
            Failure(claim=each.claim, reason=refusal.reason, next_attempt_at=None)
            for each, refusal in [*result.refused, *result.waiting[room:]]
        ]
        if refused:
            self.context.transact(partial(self._fail, failures=refused))
        return Written(stored=result.stored, failed=refused)

    def _fail(self, connection: Connection, failures: Sequence[Failure]) -> None:
        context = self.context
        sent = context.pending_counts.drain(connection)
        claims.fail(connection, context.lease, failures, context.clock.now(), sent)
