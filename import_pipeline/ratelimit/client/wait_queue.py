"""The tasks of one process that wait for permits, in their order."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

MOST_UNITS = 256  #: units requested in one exchange, if the first permit needs no more


@dataclass(slots=True, eq=False)
class Permit:
    """The right to send one request, from `start` until `expires` (seconds on the limiter's monotonic clock)."""

    name: str
    start: float
    expires: float
    sent: float | None = None  #: the moment at which sending began, if it is known
    is_first: bool = False  #: True if its request was the first one on its connection
    cost: int = 1  #: the units that it takes in every tier
    shared: bool = True  #: False if no limits are known: then no other process knows of it
    settled: bool = False
    pauses: int = 0  #: pauses in this process before it was granted
    endpoint: str = ""  #: the path prefix whose limits it belongs to
    of_lane: "Permit | None" = None  #: the permit of the lane that belongs to it

    def lasts_for(self, now: float) -> float:
        """Return the seconds until it, or the permit of its lane, expires."""
        return min(self.expires, self.of_lane.expires if self.of_lane else self.expires) - now


@dataclass(slots=True, eq=False)
class Waiter:
    """A task that waits for a permit."""

    deadline: float
    cost: int
    granted: asyncio.Future[Permit]
    name: str = ""


@dataclass(slots=True)
class WaitQueue:
    """Waiting tasks, in order. Finished ones are dropped by `tidy()`."""

    _first: deque[Waiter] = field(default_factory=deque)
    _others: deque[Waiter] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self._first or self._others)

    def join(self, deadline: float, cost: int, *, first: bool) -> Waiter:
        """Add a waiting task; with `first`, before all that joined without it."""
        waiter = Waiter(deadline=deadline, cost=cost, granted=asyncio.get_running_loop().create_future())
        (self._first if first else self._others).append(waiter)
        return waiter

    def tidy(self) -> None:
        """Drop tasks that no longer wait."""
        self._first = deque(waiter for waiter in self._first if not waiter.granted.done())
        self._others = deque(waiter for waiter in self._others if not waiter.granted.done())

    def next_batch(self) -> list[Waiter]:
        """Return the tasks to request permits for in the next exchange."""
        waiters, units = list[Waiter](), 0
        for waiter in (*self._first, *self._others):
            if not waiter.granted.done():
                units += waiter.cost
                if waiters and units > MOST_UNITS:
                    break
                waiters.append(waiter)
        return waiters

    def fail(self, error: BaseException) -> None:
        """Raise an error in every waiting task."""
        for waiter in (*self._first, *self._others):
            if not waiter.granted.done():
                waiter.granted.set_exception(error)
