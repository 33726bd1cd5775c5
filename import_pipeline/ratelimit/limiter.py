"""The limiter of one api as a program uses it: acquire a permit, send, settle."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from limits import RateLimitItem

from import_pipeline.clock import Chance, Clock, SystemClock, system_chance
from import_pipeline.errors import ApiBlocked, LimiterUnavailable
from import_pipeline.ratelimit.dispatcher import Dispatcher, Permit
from import_pipeline.ratelimit.exchange import SECOND, Exchange, Outcome, Permits, StoreError
from import_pipeline.ratelimit.tiers import normalised
from import_pipeline.rules.backoff import pause_after
from import_pipeline.rules.signals import Standing, part_of, used_of

#: Without tiers every request is free; this is how long the absence of a pause is believed, in seconds.
FREE_FOR = 1.0
MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class TierUsage:
    """How much of a tier is taken."""

    amount: int
    seconds: int
    used: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The api's counters, shared by all processes and ever growing: callers take differences."""

    hits: int  #: answers of "too many requests"
    sleeps: int  #: intervals in which a wanted permit was refused, over all processes
    slept_seconds: float  #: their sum, each second counted once; pauses included
    paused_until: datetime | None  #: the shared pause's end (aware, UTC)
    tiers: tuple[TierUsage, ...] = ()
    part: float = 1.0  #: of the tiers' amounts that is in use: below 1, the server was found to grant less


class Limiter:
    """Permits of one api for one process, shared with all processes that open the same store.

    `patience`: a longer pause is raised as ApiBlocked instead of waited for; None waits for any.
    `shortest_pause`: what a refusal without any hint means where there are no tiers.
    `store_patience`: how long a store that does not answer is waited for, before LimiterUnavailable is raised.
    """

    def __init__(
        self,
        api: str,
        tiers: Sequence[RateLimitItem],
        permits: Permits,
        *,
        clock: Clock | None = None,
        patience: timedelta | None = None,
        shortest_pause: timedelta = timedelta(seconds=1),
        store_patience: timedelta = timedelta(seconds=60),
        chance: Chance = system_chance,
    ) -> None:
        self.api = api
        self.tiers = normalised(tiers)
        self.clock: Clock = clock or SystemClock()
        self._chance = chance
        self._patience = patience
        self._shortest = timedelta(seconds=self.tiers[0].get_expiry()) if self.tiers else shortest_pause
        self._floor = shortest_pause
        self._dispatcher = Dispatcher(
            api=api,
            tiers=self.tiers,
            permits=permits,
            clock=self.clock,
            chance=chance,
            store_patience=store_patience.total_seconds(),
            heard=self._heard,
            unreachable=self._unreachable,
        )
        self._task: asyncio.Task[None] | None = None
        self._free_until = 0.0
        self._paused_until = 0.0
        self._refusals = 0

    async def __aenter__(self) -> Self:
        """Start the one task that talks to the store."""
        self._task = asyncio.create_task(self._dispatcher.run(), name=f"limits of {self.api}")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the store what is left to tell, and stop."""
        self._dispatcher.close()
        try:
            if self._task is not None:
                await self._task
        finally:
            self._task = None
            self._dispatcher.release()

    async def acquire(self, deadline: float = 30.0, *, first: bool = False) -> Permit:
        """Wait for a permit. Its request must be over `deadline` seconds after the permit's start.

        Raises ApiBlocked when the shared pause exceeds the patience, LimiterUnavailable when the store stays away.
        """
        while True:
            blocked = self._blocked(self._paused_until - self.clock.monotonic())
            if blocked is not None:
                raise blocked
            if not self.tiers and self.clock.monotonic() < self._free_until:
                now = self.clock.monotonic()
                return Permit(name="", start=now, expires=now + deadline, shared=False)
            permit = await self._next_permit(deadline, first=first)
            if self.clock.monotonic() >= self._paused_until:
                return permit
            self.unused(permit)  # a pause began meanwhile

    def answered(self, permit: Permit, at: float | None = None) -> None:
        """An answer came, now or at that moment of the clock: the server has counted the request by then."""
        self._refusals = 0
        if permit.shared and not permit.settled:
            self._dispatcher.settle(permit, Outcome.ANSWERED, self.clock.monotonic() if at is None else at)

    def unused(self, permit: Permit) -> None:
        """Nothing was sent and nothing will be: the place is free for somebody else."""
        if permit.shared and not permit.settled:
            self._dispatcher.settle(permit, Outcome.UNUSED, self.clock.monotonic())

    def refused(self, permit: Permit, wait: timedelta | None = None) -> None:
        """The server said that there were too many requests, and to wait that long: everybody pauses.

        None: it said nothing. Zero or less is no hint either.
        """
        now = self.clock.monotonic()
        if now >= self._paused_until:  # what was in flight when the pause began is no second refusal
            self._refusals += 1
        pause = pause_after(
            wait, self._refusals, shortest=self._shortest, floor=self._floor, chance=self._chance()
        ).total_seconds()
        self._free_until = 0.0
        self._paused_until = max(self._paused_until, now + pause)
        self._dispatcher.settle(permit, Outcome.REFUSED, now, pause)

    def hear(self, told: Sequence[Standing], permit: Permit) -> None:
        """The server named its limits in the answer to that permit's request.

        Lower ones than ours slow everybody down, higher ones change nothing. What it counts beyond our own requests
        was somebody else with the same key, and takes our places too.
        """
        tiers = [(tier.amount, tier.get_expiry()) for tier in self.tiers]
        part = part_of(told, tiers)
        if part is not None:
            millionths = max(1, min(MILLION, int(part * MILLION)))
            self._dispatcher.told = min(self._dispatcher.told or millionths, millionths)
        for place, used in used_of(told, tiers).items():
            self._dispatcher.sighted(place, used, permit.start if permit.sent is None else permit.sent)

    async def usage(self) -> Usage:
        """The shared counters now; raises LimiterUnavailable."""
        try:
            result = await self._dispatcher.talk(self._dispatcher.ask(count=True))
        except StoreError as error:
            raise self._unreachable(error) from error
        finally:
            if self._task is None:  # asked from outside of `async with`
                self._dispatcher.release()
        return Usage(
            part=result.part / MILLION,
            hits=result.hits,
            sleeps=result.sleeps,
            slept_seconds=result.slept / SECOND,
            paused_until=self.clock.now() + timedelta(microseconds=result.pause) if result.pause else None,
            tiers=tuple(
                TierUsage(amount=tier.amount, seconds=tier.get_expiry(), used=used)
                for tier, used in zip(self.tiers, result.used, strict=True)
            ),
        )

    def blocked_for(self) -> float:
        """Seconds until the next permit can come while tasks wait; 0.0 when permits are free or nobody waits.

        May be called from any thread.
        """
        return max(0.0, self._dispatcher.blocked_until - self.clock.monotonic())

    @property
    def asks(self) -> int:
        """Steps taken with the store so far."""
        return self._dispatcher.asks

    async def _next_permit(self, deadline: float, *, first: bool) -> Permit:
        if self._task is None or self._task.done():
            raise RuntimeError(f"the limiter of {self.api} is not open: use it in `async with limiter:`")
        waiter = self._dispatcher.wait_for_permit(deadline, first=first)
        try:
            permit = await waiter.granted
            delay = permit.start - self.clock.monotonic()
            if delay > 0:
                await self.clock.sleep(delay)
        except asyncio.CancelledError:
            granted = waiter.granted
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.unused(granted.result())
            else:
                self._dispatcher.withdraw(waiter)
            raise
        return permit

    def _heard(self, result: Exchange) -> ApiBlocked | None:
        now = self.clock.monotonic()
        self._free_until = 0.0 if result.pause or result.probing else now + FREE_FOR
        if result.pause:
            self._paused_until = max(self._paused_until, now + result.pause / SECOND)
        return self._blocked(result.pause / SECOND)

    def _blocked(self, pause: float) -> ApiBlocked | None:
        if self._patience is None or pause <= self._patience.total_seconds():
            return None
        return ApiBlocked(self.api, self.clock.now() + timedelta(seconds=pause))

    def _unreachable(self, error: StoreError) -> LimiterUnavailable:
        return LimiterUnavailable(f"the limits of {self.api} cannot be shared, so nothing is sent: {error}")

    def _ended(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        self._dispatcher.fail(failure or RuntimeError(f"the limiter of {self.api} was closed"))
