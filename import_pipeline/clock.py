"""Clocks and random numbers as arguments, so that tests neither wait nor vary."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

#: A function that returns a random float in [0, 1).
Random = Callable[[], float]


class Clock(Protocol):
    """The interface of a clock: `SystemClock`, and `testing.FakeClock` in tests."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; they never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero or less yields to other tasks once."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; they never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero or less yields to other tasks once."""
        await asyncio.sleep(max(0.0, seconds))


system_random: Random = random.SystemRandom().random
