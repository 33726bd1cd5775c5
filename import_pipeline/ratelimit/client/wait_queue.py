"""The tasks of one process that wait for permits, in their order."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

MOST_AT_ONCE = 256  #: places asked for in one step, if the first permit needs no more


@dataclass(slots=True, eq=False)
class Permit:
    """The right to send one request, from `start` until `expires` (seconds on the limiter's monotonic clock)."""

    name: str
    start: float
    expires: float
    sent: float | None = None  #: when the sending began, where that is known
    is_first: bool = False  #: whether it was the first one on its connection
    cost: int = 1  #: the places that it takes in every tier
    shared: bool = True  #: False where no limits are known: nobody but this process knows of it
    settled: bool = False
    pauses: int = 0  #: that began in this process before it was given
    of_lane: "Permit | None" = None  #: that of the lane, which goes with it

    def lasts_for(self, now: float) -> float:
        """Seconds until it, or that of its lane, is over."""
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
    """Those that wait. Whoever is served or gave up stands in it until it is tidied."""

    _first: deque[Waiter] = field(default_factory=deque)
    _others: deque[Waiter] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self._first or self._others)

    def join(self, deadline: float, cost: int, *, first: bool) -> Waiter:
        """Stand in the line; `first` goes before all that do not."""
        waiter = Waiter(deadline=deadline, cost=cost, granted=asyncio.get_running_loop().create_future())
        (self._first if first else self._others).append(waiter)
        return waiter

    def tidy(self) -> None:
        """Let those leave that wait no longer."""
        self._first = deque(waiter for waiter in self._first if not waiter.granted.done())
        self._others = deque(waiter for waiter in self._others if not waiter.granted.done())

    def next_ones(self) -> list[Waiter]:
        """Those to ask for in one step."""
        waiters, places = list[Waiter](), 0
        for waiter in (*self._first, *self._others):
            if not waiter.granted.done():
                places += waiter.cost
                if waiters and places > MOST_AT_ONCE:
                    break
                waiters.append(waiter)
        return waiters

    def fail(self, error: BaseException) -> None:
        """Tell all of them."""
        for waiter in (*self._first, *self._others):
            if not waiter.granted.done():
                waiter.granted.set_exception(error)
