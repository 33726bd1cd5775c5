"""Time as a value to pass in, so that rules are testable and tests never wait."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

#: Draws a float in [0, 1); passed in wherever chance plays a part.
Random = Callable[[], float]


class Clock(Protocol):
    """Where now() and sleep() come from. `testing.FakeClock` is the other implementation."""

    def now(self) -> datetime:
        """The wall-clock time: aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero and less give way to other tasks once."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall-clock time: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero and less give way to other tasks once."""
        await asyncio.sleep(max(0.0, seconds))


system_random: Random = random.SystemRandom().random
