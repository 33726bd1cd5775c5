"""Confirm that a worker still owns its lease and its claims before it sends a request for them.

A process that was frozen, on a paused machine or without its database, may have lost them to other workers. It sends
nothing until its next heartbeat has checked; then it sends only for the claims that it still holds.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

from import_pipeline.clock import Clock
from import_pipeline.errors import ImportPipelineError
from import_pipeline.wording import plural


class ClaimLost(ImportPipelineError):
    """Another worker may have claimed the item while this process was frozen: it must not send for the item."""


class Ownership:
    """The time of the latest heartbeat, and the claims that it found still held after a doubt. Thread-safe.

    `beat_now` triggers a heartbeat immediately.
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
        """Return the current time by the monotonic and the wall clock."""
        return self._clock.monotonic(), self._clock.now()

    @property
    def is_doubtful(self) -> bool:
        """True if the latest heartbeat is older than the lease by either clock; one may stop with the machine."""
        monotonic, wall = self._at
        return max(self._clock.monotonic() - monotonic, (self._clock.now() - wall).total_seconds()) > self._seconds

    def renewed(self, at: tuple[float, datetime], held: Collection[int] | None = None) -> None:
        """Record a successful heartbeat that began at `at`; after a doubt, `held` are the claims that still stand.

        The beginning counts, so a process that was frozen within the heartbeat is in doubt afterwards.
        """
        self._at = at
        if held is not None:
            self._held = set(held)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._renewal.set)

    def took(self, claims: Collection[int]) -> None:
        """Add new claims of this worker."""
        if self._held is not None:
            self._held |= set(claims)

    async def confirm(self, claims: Collection[int] = ()) -> None:
        """Wait until the lease is confirmed. Raises ClaimLost if one of the claims was lost meanwhile."""
        while self.is_doubtful:
            self._renewal.clear()
            self.beat_now()
            await self._renewal.wait()
        lost = set(claims) - self._held if self._held is not None else ()
        if lost:
            raise ClaimLost(
                f"{plural(len(lost), 'claim')} lost while this process was frozen, the first is {min(lost)}"
            )
