"""Claimed items that wait for a fetcher: one by one, or gathered into batches."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from import_pipeline.contracts import Importable
from import_pipeline.importer.enrichment.follow_ups import Begun
from import_pipeline.tracking.claims import Claim


@dataclass(frozen=True, kw_only=True)
class ClaimedItem:
    """A claimed item, and its row as it is stored."""

    claim: Claim
    importable: Importable


class ClaimedItems:
    """Gives items in batches of the size that `size_of` returns for their number of failures.

    New items wait until their batch is full, or `give_incomplete` is called. Failed ones are due together and do not
    wait; they are not mixed with new ones, since one of them may spoil its batch.
    """

    def __init__(self, size_of: Callable[[int], int]) -> None:
        self._size_of = size_of
        self._by_failures: dict[int, deque[ClaimedItem]] = {}
        self._begun: deque[Begun] = deque()
        self._gives_incomplete = False
        self._changed = asyncio.Event()  #: set when there may be something to take
        self.taken = asyncio.Event()  #: set once a fetcher has taken something

    def __len__(self) -> int:
        return sum(map(len, self._by_failures.values()))

    def add(self, items: Iterable[ClaimedItem]) -> None:
        """Add claimed items."""
        for item in items:
            self._by_failures.setdefault(item.claim.failure_count, deque()).append(item)
            self._gives_incomplete = False
        self._changed.set()

    def add_begun(self, begun: Begun) -> None:
        """Add an item that wants a follow-up request; it is taken before all others."""
        self._begun.append(begun)
        self._changed.set()

    def give_incomplete(self) -> None:
        """Give the new items at hand, since no more of them come soon."""
        self._gives_incomplete = True
        self._changed.set()

    async def take(self) -> list[ClaimedItem] | Begun:
        """Wait for a batch, or an item that wants a follow-up request."""
        while (found := self._begun.popleft() if self._begun else self._batch()) is None:
            self._changed.clear()
            await self._changed.wait()
        self.taken.set()
        return found

    def _batch(self) -> list[ClaimedItem] | None:
        for failures in sorted(self._by_failures, reverse=True):
            waiting, size = self._by_failures[failures], self._size_of(failures)
            if waiting and (failures or self._gives_incomplete or len(waiting) >= size):
                return [waiting.popleft() for _ in range(min(size, len(waiting)))]
        return None
