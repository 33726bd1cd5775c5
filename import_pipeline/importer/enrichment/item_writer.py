"""Storing fetched items: a batch in one transaction, and what the user's table refuses apart from the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import StatementError

from import_pipeline.contracts import Importable
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.tracking import claims
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.user_rows.row_rescue import Apart, store_apart, store_swaps
from import_pipeline.tracking.user_rows.row_swaps import handing_over
from import_pipeline.tracking.user_rows.row_writing import RowsRefused, refusal_of

#: So many items may wait for the rest of the import; what is refused beyond that has failed at once.
MOST_PARKED = 1_000


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of fetched items: `failed` are those that the user's table has refused for good."""

    stored: list[Done] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


class ItemWriter:
    """Stores what fetchers bring. Rows that others stand in the way of are parked until those are stored."""

    def __init__(self, work: ImportContext) -> None:
        self.work = work
        self.parked: list[tuple[Done, RowsRefused]] = []

    async def store(self, done: Sequence[Done], failed: Sequence[Failure]) -> Written:
        """Store a batch: details and failed tries. Raises LeaseLost."""
        return await self.work.in_writer_thread(partial(self._store, done, failed))

    async def store_parked(self, *, for_good: bool) -> Written:
        """Try the parked items again. `for_good`: what is refused now has failed, since nothing else is to come."""
        return await self.work.in_writer_thread(partial(self._store_parked, for_good=for_good))

    def _store(self, done: Sequence[Done], failed: Sequence[Failure]) -> Written:
        work = self.work

        def unit(connection: Connection) -> None:
            if failed:
                self._fail(connection, failed)
            if done:
                self._complete(connection, done)

        try:
            work.transact(unit)
        except (RowsRefused, StatementError) as error:
            if refusal_of(error, work.source.model) is None:
                raise
        else:
            return Written(stored=list(done))
        if failed:
            work.transact(partial(self._fail, failures=failed))
        return self._settle(store_apart(work.source.model, done, self._attempt), for_good=False)

    def _store_parked(self, *, for_good: bool) -> Written:
        parked, self.parked = self.parked, []
        return self._settle(store_swaps(self.work.source.model, parked, self._attempt, self._groups), for_good=for_good)

    def _attempt(self, done: Sequence[Done], swaps: bool) -> None:
        self.work.transact(partial(self._complete, done=done, swaps=swaps))

    def _complete(self, connection: Connection, done: Sequence[Done], *, swaps: bool = False) -> None:
        work = self.work
        sent, now, model = work.pending_counts.drain(connection), work.clock.now(), work.source.model
        claims.complete(connection, work.row, work.lease, model, done, now, sent=sent, swaps=swaps)

    def _groups(self, done: Sequence[Done]) -> list[list[Done]]:
        by_row: dict[int, Done] = {id(each.importable): each for each in done}
        rows: list[Importable] = [each.importable for each in done]
        groups = self.work.transact(lambda connection: handing_over(connection, self.work.source.model, rows))
        return [[by_row[id(row)] for row in group] for group in groups]

    def _settle(self, result: Apart[Done], *, for_good: bool) -> Written:
        room = 0 if for_good else max(0, MOST_PARKED - len(self.parked))
        self.parked += result.waiting[:room]
        refused = [
            Failure(claim=each.claim, reason=refusal.reason, next_attempt_at=None)
            for each, refusal in [*result.refused, *result.waiting[room:]]
        ]
        if refused:
            self.work.transact(partial(self._fail, failures=refused))
        return Written(stored=result.stored, failed=refused)

    def _fail(self, connection: Connection, failures: Sequence[Failure]) -> None:
        work = self.work
        claims.fail(connection, work.lease, failures, work.clock.now(), work.pending_counts.drain(connection))
