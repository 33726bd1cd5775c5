"""The limiter of one api as a program uses it: acquire a permit, send, settle."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from limits import RateLimitItem

from import_pipeline.clock import Clock, Random, SystemClock, system_random
from import_pipeline.errors import ApiBlocked, CostTooHigh, LimiterUnavailable
from import_pipeline.logs import report
from import_pipeline.ratelimit.client.dispatcher import Dispatcher
from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.protocol import SECOND, AdvertisedLimit, ExchangeReply, Outcome, PermitStore, StoreError
from import_pipeline.ratelimit.tiers import Tiers, normalised
from import_pipeline.ratelimit.usage import MILLION, Usage, usage_of
from import_pipeline.rules.backoff import pause_after
from import_pipeline.rules.responses.advertised_limits import Advertised
from import_pipeline.rules.responses.rate_limit_headers import LimitStatus

#: Without limits every request is free; this is how long the absence of a pause is believed, in seconds.
FREE_FOR = 1.0
LONGEST_WINDOW = timedelta(days=31)  #: a longer one that a header names is no window, but a mistake


class Limiter:
    """Permits of one api for one process, shared with all processes that open the same store.

    `patience`: a longer pause is raised as ApiBlocked instead of waited for; None waits for any.
    `shortest_pause`: the pause after a first refusal without a hint.
    `source`: whose configured limits the tiers are; if they changed since its last limiter, what they taught is void.
    `lane`: what of the api's requests this one limits apart from the others; see lanes.py.
    `store_patience`: how long a store that does not answer is waited for, before LimiterUnavailable is raised.
    """

    def __init__(
        self,
        api: str,
        tiers: Sequence[RateLimitItem],
        permits: PermitStore,
        *,
        clock: Clock | None = None,
        patience: timedelta | None = None,
        shortest_pause: timedelta = timedelta(seconds=1),
        store_patience: timedelta = timedelta(seconds=60),
        chance: Random = system_random,
        source: str = "",
        lane: str = "",
    ) -> None:
        self.api = api
        self.concurrent = tiers.concurrent if isinstance(tiers, Tiers) else 0
        self.tiers = Tiers(normalised(tiers), self.concurrent)
        self.clock: Clock = clock or SystemClock()
        self._chance = chance
        self._patience = patience
        self._shortest = shortest_pause
        self._lane = lane
        self._dispatcher = Dispatcher(
            api=api,
            tiers=self.tiers,
            concurrent=self.concurrent,
            permits=permits,
            clock=self.clock,
            chance=chance,
            store_patience=store_patience.total_seconds(),
            lane=lane,
            source=source,
            heard=self._heard,
            unreachable=self._unreachable,
        )
        self._advertised = Advertised([(tier.amount, tier.get_expiry()) for tier in self.tiers])
        self._task: asyncio.Task[None] | None = None
        self._free_until = 0.0
        self._paused_until = 0.0
        self._refusals = 0  #: in a row
        self._pauses = 0
        self._is_shut = False

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

    async def acquire(self, deadline: float = 30.0, *, first: bool = False, cost: int = 1) -> Permit:
        """Wait for a permit of `cost` places in every tier; its request is over `deadline` seconds after its start.

        Raises ApiBlocked when the shared pause exceeds the patience, LimiterUnavailable when the store stays away,
        CostTooHigh for a request that no window has room for.
        """
        self._check_cost(cost)
        while not self._is_shut:
            blocked = self._blocked(self._paused_until - self.clock.monotonic())
            if blocked is not None:
                raise blocked
            if self.clock.monotonic() < self._free_until:
                permit = self._dispatcher.free_permit(deadline, cost)
                permit.pauses = self._pauses
                return permit
            permit = await self._next_permit(deadline, cost, first=first)
            if not self._is_shut and self.clock.monotonic() >= self._paused_until:
                permit.pauses = self._pauses
                return permit
            self.unused(permit)  # a pause began meanwhile, or nobody is let go any more
        never: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        return await never

    def grant_no_more(self) -> None:
        """Let nobody go from now on: whoever waits for a permit, or comes for one, waits until it is cancelled."""
        self._is_shut = True

    def answered(self, permit: Permit, at: float | None = None) -> None:
        """An answer came, now or at that moment of the clock: the server has counted the request by then."""
        if permit.pauses == self._pauses:  # one that was in flight when a pause began says nothing about its end
            self._refusals = 0
        if not permit.settled:
            self._dispatcher.settle(permit, Outcome.ANSWERED, self.clock.monotonic() if at is None else at)

    def cut_off(self, permit: Permit) -> None:
        """The other side closed the connection before an answer came: the request arrived by now, or never will.

        Not for a timeout, nor for what was closed here: such a request may still be on its way.
        """
        if not permit.settled:
            self._dispatcher.settle(permit, Outcome.CUT_OFF, self.clock.monotonic())

    def unused(self, permit: Permit) -> None:
        """Nothing was sent and nothing will be: the place is free for somebody else."""
        if not permit.settled:
            self._dispatcher.settle(permit, Outcome.UNUSED, self.clock.monotonic())

    def refused(self, permit: Permit, wait: timedelta | None = None, *, teaches: bool = True) -> None:
        """The server said that there were too many requests, and to wait that long: everybody pauses.

        None: it said nothing. Zero or less is no hint either. `teaches`: it says something about the limits of all
        requests, and not only of a lane.
        """
        now = self.clock.monotonic()
        is_first = now >= self._paused_until  # what was in flight when the pause began is no second refusal
        self._refusals += is_first
        self._pauses += is_first
        is_guess = wait is None or wait <= timedelta(0)
        pause = pause_after(wait, self._refusals, first=self._shortest, chance=self._chance()).total_seconds()
        if is_first and not self._lane:
            sentence = f"The API {self.api} says that there are too many requests: everybody pauses for {pause:.1f} s."
            report("rate_limit_hit", sentence, level=logging.WARNING, api=self.api, seconds=round(pause, 3))
        self._free_until = 0.0
        self._paused_until = max(self._paused_until, now + pause)
        outcome = Outcome.REFUSED if teaches else Outcome.HELD
        self._dispatcher.settle(permit, outcome, now, pause, is_guess=is_guess)

    def hear(self, told: Sequence[LimitStatus], permit: Permit, *, kind: str = "", refused: bool = False) -> None:
        """The server named its limits, or none, in the answer to that permit's request, which was of that kind.

        Lower ones than ours slow everybody down, higher ones change nothing. What it counts beyond our own requests
        was somebody else with the same key, and takes our places too. If none is configured they are ours. A limit that
        other kinds of requests do not hear of, or that later answers refute, is dropped.
        """
        found = self._advertised.hear(kind, told)
        millionths = 0 if found.part is None else max(1, min(MILLION, int(found.part * MILLION)))
        if millionths or found.refuted:
            self._dispatcher.outbox.add_fraction(millionths, found.refuted)
        if not self.tiers:
            self._take_over(found.holding, permit, refused=refused)
            return
        for place, used in self._advertised.used(found.holding).items():
            self._dispatcher.outbox.add_usage(place, used, permit.start if permit.sent is None else permit.sent)

    async def usage(self) -> Usage:
        """The shared counters now; raises LimiterUnavailable."""
        try:
            result = await self._dispatcher.talk(self._dispatcher.ask(count=True))
        except StoreError as error:
            raise self._unreachable(error) from error
        finally:
            if self._task is None:  # asked from outside of `async with`
                self._dispatcher.release()
        return usage_of(result, self.tiers, self.clock.now())

    def blocked_for(self) -> float:
        """Seconds until the next permit can come while tasks wait; 0.0 when permits are free or nobody waits.

        May be called from any thread.
        """
        return max(0.0, self._dispatcher.blocked_until - self.clock.monotonic())

    @property
    def losses(self) -> int:
        """How often the store had lost what this process knows."""
        return self._dispatcher.losses

    @property
    def asks(self) -> int:
        """Steps taken with the store so far."""
        return self._dispatcher.asks

    def _check_cost(self, cost: int) -> None:
        if cost < 1:
            raise CostTooHigh(f"a request of {self.api} costs {cost}: expected a whole number from 1")
        narrowest = min(self.tiers, key=lambda tier: tier.amount, default=None)
        if narrowest is not None and cost > narrowest.amount:
            raise CostTooHigh(
                f"a request of {self.api} costs {cost}, and its limit of {narrowest} has no room for that: "
                "raise the limit or lower cost(request)"
            )

    def _take_over(self, told: Sequence[LimitStatus], permit: Permit, *, refused: bool) -> None:
        limits, latency = [], self.clock.monotonic() - (permit.start if permit.sent is None else permit.sent)
        for each in told:
            window = each.window or each.reset
            if not each.limit or window is None or window > LONGEST_WINDOW:
                continue
            left = each.limit if each.remaining is None else min(each.limit, each.remaining)
            if window <= timedelta(0) and left and not self._dispatcher.has_inferred_tiers:
                continue  # of a full limit, or of one that is known, it was rounded down
            reset = (each.reset or timedelta()) - timedelta(seconds=1 if each.is_moment else 0)
            limits.append(
                AdvertisedLimit(
                    limit=each.limit,
                    used=each.limit - left + (refused and not left),
                    reset=max(0, reset // timedelta(microseconds=1)),
                    window=max(0, (each.window or timedelta()) // timedelta(microseconds=1)),
                    latency=int(latency * SECOND),
                )
            )
        if limits:
            self._free_until = 0.0
            self._dispatcher.add_limits(limits)

    async def _next_permit(self, deadline: float, cost: int, *, first: bool) -> Permit:
        if self._task is None or self._task.done():
            raise RuntimeError(f"the limiter of {self.api} is not open: use it in `async with limiter:`")
        waiter = self._dispatcher.wait_for_permit(deadline, cost, first=first)
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

    def _heard(self, result: ExchangeReply) -> ApiBlocked | None:
        now = self.clock.monotonic()
        is_free = bool(result.starts) and not self._dispatcher.reports_permits
        self._free_until = now + FREE_FOR if is_free else 0.0
        if not self._dispatcher.outbox.holds_refusal:  # a pause that the store has yet to hear of is none that ended
            self._paused_until = now + result.pause / SECOND
        elif result.pause:
            self._paused_until = max(self._paused_until, now + result.pause / SECOND)
        return self._blocked(result.pause / SECOND)

    def _blocked(self, pause: float) -> ApiBlocked | None:
        if self._patience is None or pause <= self._patience.total_seconds():
            return None
        return ApiBlocked(self.api, self.clock.now() + timedelta(seconds=pause))

    def _unreachable(self, error: StoreError) -> LimiterUnavailable:
        sentence = f"the limits of {self.api} cannot be shared, so nothing is sent: {error}"
        return LimiterUnavailable(sentence, said=str(error), may_pass=error.may_pass)

    def _ended(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        self._dispatcher.fail(failure or RuntimeError(f"the limiter of {self.api} was closed"))
