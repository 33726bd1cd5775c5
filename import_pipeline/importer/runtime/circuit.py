"""While nothing works, requests hold back: one at a time tries, after longer and longer waits, and all others wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from import_pipeline.clock import Clock, Random
from import_pipeline.rules.backoff import retry_delay

#: Seconds before each try; the last serves all further ones.
DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0)


class Circuit:
    """Open as a rule. `tell` hears, before each try of a closed one, why it is closed and the seconds until then."""

    def __init__(self, clock: Clock, chance: Random, tell: Callable[[str, float], Awaitable[object]]) -> None:
        self._clock = clock
        self._chance = chance
        self._tell = tell
        self._one = asyncio.Lock()
        self._reason = ""
        self._closed_at: float | None = None
        self._tries = 0
        self.closings = 0  #: how often it was closed

    @property
    def closed_for(self) -> float | None:
        """Seconds since it was closed; None while it is open."""
        return None if self._closed_at is None else self._clock.monotonic() - self._closed_at

    def close(self, reason: str) -> None:
        """From here on one at a time."""
        self._reason = reason
        if self._closed_at is None:
            self._closed_at = self._clock.monotonic()
            self._tries = 0
            self.closings += 1

    def open(self) -> None:
        """All may go on."""
        self._closed_at = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The right to send a request, as long as the block lasts."""
        if self._closed_at is not None:
            async with self._one:  # in the order of the asking
                if self._closed_at is not None:
                    await self._wait()
                    yield
                    return
        yield

    async def _wait(self) -> None:
        self._tries += 1
        seconds = retry_delay(self._tries, DELAYS, self._chance()).total_seconds()
        await self._tell(self._reason, seconds)
        await self._clock.sleep(seconds)
