"""A worker's assurance that what it holds is still its own, before it sends anything for that.

A process that stood still (frozen, on a paused machine, without its database) may have lost its lease and its claims to
other workers. Until its next heartbeat has found out it sends nothing; after that, only for what it still holds.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

from import_pipeline.clock import Clock
from import_pipeline.errors import ImportPipelineError


class ClaimLost(ImportPipelineError):
    """Another worker may have taken the item over while this process stood still: nothing is sent for it here."""


class Ownership:
    """The moment of the latest heartbeat, and after a doubt the claims that were still held. For any thread.

    `beat_now` asks for a heartbeat at once.
    """

    def __init__(self, clock: Clock, lease_seconds: float) -> None:
        self.beat_now: Callable[[], object] = lambda: None
        self._clock = clock
        self._seconds = lease_seconds
        self._loop = asyncio.get_running_loop()
        self._renewal = asyncio.Event()
        self._held: set[int] | None = None
        self._at = self.moment()

    def moment(self) -> tuple[float, datetime]:
        """Now, by both clocks."""
        return self._clock.monotonic(), self._clock.now()

    @property
    def is_doubtful(self) -> bool:
        """The latest heartbeat is older than the lease, by either clock: one of them stands still with the machine."""
        monotonic, wall = self._at
        return max(self._clock.monotonic() - monotonic, (self._clock.now() - wall).total_seconds()) > self._seconds

    def renewed(self, at: tuple[float, datetime], held: Collection[int] | None = None) -> None:
        """A heartbeat that began at that moment went well; after a doubt it tells the claims that are still held.

        A process that stood still within the heartbeat is in doubt after it, too.
        """
        self._at = at
        if held is not None:
            self._held = set(held)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._renewal.set)

    def took(self, claims: Collection[int]) -> None:
        """Those claims are new."""
        if self._held is not None:
            self._held |= set(claims)

    async def confirm(self, claim: int | None = None) -> None:
        """Wait until there is no doubt. Raises ClaimLost for a claim that was lost by then."""
        while self.is_doubtful:
            self._renewal.clear()
            self.beat_now()
            await self._renewal.wait()
        if claim is not None and self._held is not None and claim not in self._held:
            raise ClaimLost(f"claim {claim} was lost while this process stood still")
