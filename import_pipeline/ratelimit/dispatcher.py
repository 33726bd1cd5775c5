"""The one task per process and api that talks to the store, for all waiting tasks at once."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from limits import RateLimitItem

from import_pipeline.clock import Chance, Clock
from import_pipeline.ratelimit.exchange import (
    SECOND,
    Ask,
    Exchange,
    Outcome,
    Permits,
    Settled,
    Sighting,
    StoreError,
    Wanted,
)
from import_pipeline.ratelimit.memory import Memory

LOOK_AHEAD = 0.03  #: seconds; permits that come free within are given out with the moment of their start
#: Seconds: answers are told after a twentieth of the shortest window at the latest, since others wait for their places.
SOONEST_FLUSH, LATEST_FLUSH = 0.05, 0.25
LOOK_AGAIN = 2.0  #: seconds; the longest without asking while somebody waits for a tier: a place may come free early
TRY_AGAIN = 0.25  #: seconds between asks while the store does not answer
MARGIN = 2.0  #: seconds that a request may take to arrive after its sender has given up
MOST_AT_ONCE = 256  #: permits asked for in one step


@dataclass(slots=True, eq=False)
class Permit:
    """The right to send one request, from `start` until `expires` (seconds on the limiter's monotonic clock)."""

    name: str
    start: float
    expires: float
    sent: float | None = None  #: when the sending began, where that is known
    shared: bool = True  #: False where there are no tiers: nobody but this process knows of it
    settled: bool = False


@dataclass(slots=True, eq=False)
class Waiter:
    """A task that waits for a permit."""

    deadline: float
    granted: asyncio.Future[Permit]
    name: str = ""


@dataclass(slots=True)
class Answered:
    """A settled permit with the moment of its settling on this process's clock."""

    permit: str
    outcome: Outcome
    moment: float
    wait: float = 0.0

    def at(self, now: float) -> Settled:
        """The same as the store wants to hear it."""
        age, wait = max(0.0, now - self.moment), self.wait
        return Settled(permit=self.permit, outcome=self.outcome, age=int(age * SECOND), wait=int(wait * SECOND + 0.5))


@dataclass(slots=True)
class Dispatcher:
    """Collects settled permits and waiting tasks, asks the store, hands out what it grants."""

    api: str
    tiers: Sequence[RateLimitItem]
    permits: Permits
    clock: Clock
    chance: Chance
    store_patience: float
    heard: Callable[[Exchange], BaseException | None]  #: takes an answer in; what waiting tasks are told, if anything
    unreachable: Callable[[StoreError], BaseException]
    latest: Exchange | None = None
    next_ask: float = 0.0
    blocked_until: float = 0.0  #: when the next permit can come while tasks wait, for other threads to read
    told: int = 0  #: the least part of our tiers that the server's headers named since the last ask, in millionths
    asks: int = 0
    _process: str = field(default_factory=lambda: os.urandom(6).hex())
    _count: int = 0
    _first: deque[Waiter] = field(default_factory=deque)
    _others: deque[Waiter] = field(default_factory=deque)
    _settled: list[Answered] = field(default_factory=list)
    _told_again: list[Settled] = field(default_factory=list)
    _sightings: dict[int, tuple[int, float]] = field(default_factory=dict)
    _delays: list[float] = field(default_factory=list)
    _flush_at: float = 0.0
    _failing_since: float | None = None
    _closing: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _thread: ThreadPoolExecutor | None = None
    _memory: Memory = field(init=False)
    _flush: float = field(init=False)

    def __post_init__(self) -> None:
        windows = [tier.get_expiry() for tier in self.tiers]
        self._memory = Memory(max(windows, default=0))
        self._flush = max(SOONEST_FLUSH, min(LATEST_FLUSH, min(windows, default=0) / 20))

    # What waiting tasks call

    def wait_for_permit(self, deadline: float, *, first: bool) -> Waiter:
        """Stand in the line; `first` goes before all that do not."""
        waiter = Waiter(deadline=deadline, granted=asyncio.get_running_loop().create_future())
        (self._first if first else self._others).append(waiter)
        self._wake.set()
        return waiter

    def withdraw(self, waiter: Waiter) -> None:
        """Leave the line."""
        waiter.granted.cancel()
        self._wake.set()

    def settle(self, permit: Permit, outcome: Outcome, moment: float, wait: float = 0.0) -> None:
        """Remember the outcome for the next step; what frees a place or concerns all is told at once."""
        permit.settled = True
        if outcome is Outcome.ANSWERED:
            self._memory.answered(permit.name, moment)
            if permit.sent is not None:
                self._delays.append(moment - permit.sent)
        else:
            self._memory.gone(permit.name)
        now = self.clock.monotonic()
        if not self._settled:
            self._flush_at = now + self._flush
        if outcome is not Outcome.ANSWERED:
            self._flush_at = now
        self._settled.append(Answered(permit.name, outcome, moment, wait))
        self._wake.set()

    def sighted(self, tier: int, used: int, sent: float) -> None:
        """The server told that so many places of a tier were taken, for a request sent at that moment."""
        self._sightings[tier] = (used, sent)

    # The one task

    async def run(self) -> None:
        """Serve until `close()`; what is settled by then is told in a last step."""
        while not self._closing:
            await self._until_due()
            if not self._closing:
                await self._step()
        if self._settled:
            with suppress(StoreError):
                await self.talk(self._ask([]))

    def close(self) -> None:
        """Let `run()` end."""
        self._closing = True
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """Tell every waiting task."""
        for waiter in (*self._first, *self._others):
            if not waiter.granted.done():
                waiter.granted.set_exception(error)

    async def talk(self, ask: Ask) -> Exchange:
        """One step with the store, in the one thread for it where it blocks; raises StoreError."""
        self.asks += 1
        if self.permits.blocks:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix=f"limits-{self.api}")
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self.permits.exchange, ask)
        else:
            result = self.permits.exchange(ask)
        if result.lost:
            self._told_again = self._memory.told_again(self.clock.monotonic())
            self._flush_at = 0.0
            self._wake.set()
        return result

    def release(self) -> None:
        """Give the thread and the store's connection back."""
        if self._thread is not None:
            self._thread.submit(self.permits.close)
            self._thread.shutdown(wait=True)
            self._thread = None

    def ask(self, *, count: bool = False) -> Ask:
        """A question only: nothing settled, nothing wanted."""
        windows = tuple((tier.amount, tier.get_expiry() * SECOND) for tier in self.tiers)
        return Ask(api=self.api, process=self._process, tiers=windows, look_ahead=int(LOOK_AHEAD * SECOND), count=count)

    async def _until_due(self) -> None:
        while not self._closing:
            now, due = self.clock.monotonic(), self._due()
            if due <= now:
                return
            self._wake.clear()
            timer = asyncio.create_task(self._ring(due - now)) if due < float("inf") else None
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _ring(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self._wake.set()

    def _due(self) -> float:
        due = self._flush_at if self._settled or self._told_again else float("inf")
        self._first = deque(waiter for waiter in self._first if not waiter.granted.done())
        self._others = deque(waiter for waiter in self._others if not waiter.granted.done())
        if not self._first and not self._others:
            self.blocked_until = 0.0
        else:
            due = min(due, self.next_ask)
        # A store that does not answer is not asked more often because there is more to tell.
        return due if self._failing_since is None else max(due, self.next_ask)

    def _ask(self, waiters: Sequence[Waiter]) -> Ask:
        now = self.clock.monotonic()
        for waiter in waiters:
            self._count += 1
            waiter.name = f"{self._process}{self._count:x}"
        delays, self._delays = self._delays, []
        told, self.told = self.told, 0
        sightings, self._sightings = self._sightings, {}
        return replace(
            self.ask(),
            told=told,
            quickest=int(min(delays, default=0.0) * SECOND),
            samples=len(delays),
            sightings=tuple(
                Sighting(tier=tier, used=used, age=int(max(0.0, now - sent) * SECOND))
                for tier, (used, sent) in sightings.items()
            ),
            settled=(*self._told_again, *(each.at(now) for each in self._settled)),
            wanted=tuple(
                Wanted(permit=waiter.name, lifetime=int((waiter.deadline + MARGIN) * SECOND)) for waiter in waiters
            ),
        )

    async def _step(self) -> None:
        waiters = [waiter for waiter in (*self._first, *self._others) if not waiter.granted.done()][:MOST_AT_ONCE]
        ask = self._ask(waiters)
        told, self._settled = self._settled, []
        told_again, self._told_again = self._told_again, []
        try:
            result = await self.talk(ask)
        except StoreError as error:
            self._settled = [*told, *self._settled]
            self._told_again = [*told_again, *self._told_again]
            self._store_failed(waiters, error)
            return
        self._failing_since = None
        self._hand_out(waiters, result)

    def _store_failed(self, waiters: Sequence[Waiter], error: StoreError) -> None:
        now = self.clock.monotonic()
        # It may have granted them all the same; those names are not used again.
        self._settled += [Answered(waiter.name, Outcome.UNUSED, now) for waiter in waiters]
        self._failing_since = now if self._failing_since is None else self._failing_since
        self.next_ask = self.blocked_until = now + TRY_AGAIN
        if now - self._failing_since >= self.store_patience:
            self.fail(self.unreachable(error))

    def _hand_out(self, waiters: Sequence[Waiter], result: Exchange) -> None:
        now = self.clock.monotonic()
        self.latest = result
        for waiter, start in zip(waiters, result.starts, strict=False):
            begin = now + start / SECOND
            shared = bool(self.tiers) or result.probing
            permit = Permit(name=waiter.name, start=begin, expires=begin + waiter.deadline, shared=shared)
            if self.tiers:
                self._memory.granted(permit.name, permit.expires + MARGIN)
            if waiter.granted.done():
                self.settle(permit, Outcome.UNUSED, now)
            else:
                waiter.granted.set_result(permit)
        self._memory.tidy(now)
        error = self.heard(result)
        if error is not None:
            self.fail(error)
        wait = result.wait / SECOND
        # Chance decides between processes, so that none starves. A tier's place is given a look-ahead before it comes
        # free: whoever asks half of that later gets a handful at once, still in time. A pause knows no such thing.
        lot = LOOK_AHEAD / 4 * self.chance()
        later = wait + lot if result.pause else min(wait, LOOK_AGAIN) + LOOK_AHEAD / 2 + lot
        self.next_ask = now + (later if result.wait else 0.0)
        self.blocked_until = self.next_ask if len(result.starts) < len(waiters) else 0.0
