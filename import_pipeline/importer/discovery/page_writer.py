"""Store list pages: each in one transaction, and rows that the user's table refuses apart from the others."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import StatementError

from import_pipeline.contracts import Importable
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.tracking.lists import list_pages
from import_pipeline.tracking.lists.list_pages import Apart, Discovered, Page
from import_pipeline.tracking.user_rows.row_rescue import store_apart, store_swaps
from import_pipeline.tracking.user_rows.row_swaps import exchanging_groups
from import_pipeline.tracking.user_rows.row_writing import RowsRefused, refusal_of

T = TypeVar("T")
#: Most refused rows that are tried again at the end of the list.
MOST_PARKED = 1_000


class PageWriter:
    """Stores list pages. Rows that others block are tried again at the end of the list."""

    def __init__(self, context: ImportContext) -> None:
        self.context = context
        self._parked: list[tuple[Discovered, RowsRefused]] = []

    async def store(self, page: Page, action: Callable[[Connection, Apart | None], T]) -> T:
        """Run the action that stores the page, in one transaction. Raises LeaseLost."""
        return await self.context.in_writer_thread(partial(self._store, page, action))

    async def store_parked(self) -> None:
        """Try the refused rows again, now that all other rows of the list are stored."""
        if self._parked:
            await self.context.in_writer_thread(self._store_parked)

    def _store(self, page: Page, action: Callable[[Connection, Apart | None], T]) -> T:
        context = self.context
        try:
            return context.transact(lambda connection: action(connection, None))
        except (RowsRefused, StatementError) as error:
            if refusal_of(error, context.source.model) is None:
                raise
        known = context.transact(
            lambda connection: list_pages.known_versions(connection, context.row, context.source.model, page)
        )
        items = {item.external_id: item for item in page.items if item.importable is not None}
        result = store_apart(context.source.model, list(items.values()), partial(self._attempt, known))
        room = max(0, MOST_PARKED - len(self._parked))
        self._parked += result.waiting[:room]
        refused = {item.external_id: refusal.reason for item, refusal in [*result.refused, *result.waiting]}
        return context.transact(lambda connection: action(connection, Apart(refused=refused, known=known)))

    def _attempt(self, known: dict[str, str], items: Sequence[Discovered], swaps: bool) -> None:
        context = self.context
        context.transact(
            lambda connection: list_pages.store_stubs(
                connection, context.lease, context.source.model, items, known, swaps=swaps
            )
        )

    def _store_parked(self) -> None:
        context, parked = self.context, self._parked
        self._parked = []
        result = store_swaps(context.source.model, parked, self._attempt_late, self._groups)
        whole = [StoredItem(external_id=item.external_id) for item in result.stored if item.whole]
        if whole:
            context.listener.items_stored(whole)

    def _attempt_late(self, items: Sequence[Discovered], swaps: bool) -> None:
        """Store the rows and accept their items, in one transaction."""
        context = self.context

        def unit(connection: Connection) -> None:
            list_pages.store_stubs(connection, context.lease, context.source.model, items, {}, swaps=swaps)
            for item in items:
                list_pages.accept(connection, context.row, context.lease, item, context.clock.now())

        context.transact(unit)

    def _groups(self, items: Sequence[Discovered]) -> list[list[Discovered]]:
        by_row = {id(item.importable): item for item in items}
        rows: list[Importable] = [item.importable for item in items if item.importable is not None]
        groups = self.context.transact(
            lambda connection: exchanging_groups(connection, self.context.source.model, rows)
        )
        return [[by_row[id(row)] for row in group] for group in groups]
