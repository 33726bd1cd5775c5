"""The limiter of one API as a program uses it: acquire a permit, send, settle."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from limits import RateLimitItem

from import_pipeline.clock import Clock, Random, SystemClock, system_random
from import_pipeline.errors import CostTooHigh
from import_pipeline.logs import report
from import_pipeline.ratelimit.client.dispatcher import Dispatcher
from import_pipeline.ratelimit.client.limit_reports import LimitReports
from import_pipeline.ratelimit.client.pause import Pause
from import_pipeline.ratelimit.client.store_session import StoreSession
from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.protocol import Outcome, PermitStore, StoreError
from import_pipeline.ratelimit.tiers import Tiers, normalised
from import_pipeline.ratelimit.usage import Usage, usage_of
from import_pipeline.rules.responses.rate_limit_headers import LimitStatus


class Limiter:
    """Permits of one API for one process, shared with all processes that open the same store.

    `patience`: a longer pause is raised as ApiBlocked instead of waited for; None waits for any.
    `shortest_pause`: the pause after a first refusal without a hint.
    `source`: whose configured limits the tiers are; if they changed since its last limiter, what they taught is void.
    `lane`: the kind of the API's requests that this one limits apart from the others; see lanes.py.
    `store_patience`: how long to wait for a store that does not answer, before LimiterUnavailable is raised.
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
        self._lane = lane
        self._pause = Pause(api, self.clock, chance, patience, shortest_pause)
        self._session = StoreSession(api, self.tiers, permits, lane, source)
        self._dispatcher = Dispatcher(self._session, self._pause, self.clock, chance, store_patience.total_seconds())
        self._reports = LimitReports(self.tiers, self._dispatcher)
        self._task: asyncio.Task[None] | None = None
        self._is_shut = False

    async def __aenter__(self) -> Self:
        """Start the task that talks to the store."""
        self._task = asyncio.create_task(self._dispatcher.run(), name=f"limits of {self.api}")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Report the last outcomes to the store, and stop."""
        self._dispatcher.close()
        try:
            if self._task is not None:
                await self._task
        finally:
            self._task = None
            self._session.release()

    async def acquire(self, deadline: float = 30.0, *, first: bool = False, cost: int = 1) -> Permit:
        """Wait for a permit of `cost` units in every tier; its request ends at most `deadline` seconds after its start.

        Raises ApiBlocked if the shared pause exceeds the patience, LimiterUnavailable if the store does not answer,
        CostTooHigh for a request that no window has room for.
        """
        check_cost(self.api, self.tiers, cost)
        while not self._is_shut:
            if self._pause.is_free:  # then there is no pause
                return self._dispatcher.free_permit(deadline, cost)
            blocked = self._pause.blocked()
            if blocked is not None:
                raise blocked
            if self._task is None or self._task.done():
                raise RuntimeError(f"the limiter of {self.api} is not open: use it in `async with limiter:`")
            permit = await self._dispatcher.next_permit(deadline, cost, first=first)
            if not self._is_shut and self._pause.is_over:
                return permit
            self.unused(permit)  # a pause began meanwhile, or the limiter was shut
        never: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        return await never

    def grant_no_more(self) -> None:
        """Grant no permit from now on: tasks that wait for one, or come for one, wait until they are cancelled."""
        self._is_shut = True

    def answered(self, permit: Permit, at: float | None = None) -> None:
        """Settle a permit whose request was answered, now or at that moment: the server has counted it by then."""
        self._pause.answered(permit)
        self._settle(permit, Outcome.ANSWERED, at)

    def cut_off(self, permit: Permit) -> None:
        """Settle a permit whose connection the other side closed: the request has arrived by now, or never will.

        Not for a timeout, nor for a connection that was closed here: such a request may still arrive.
        """
        self._settle(permit, Outcome.CUT_OFF)

    def unused(self, permit: Permit) -> None:
        """Settle a permit without a request: its units are free again."""
        self._settle(permit, Outcome.UNUSED)

    def refused(self, permit: Permit, wait: timedelta | None = None, *, teaches: bool = True) -> None:
        """Settle a permit whose request was refused with "too many", and pause all processes for `wait`.

        Without a wait above zero, the pause is a guess. `teaches`: False if the refusal is about a lane alone, and says
        nothing about the limits of all requests.
        """
        now = self.clock.monotonic()
        seconds, is_first = self._pause.refused(wait)
        if is_first and not self._lane:
            sentence = f"The API {self.api} refuses requests as too many: all processes pause for {seconds:.1f} s."
            report("rate_limit_hit", sentence, level=logging.WARNING, api=self.api, seconds=round(seconds, 3))
        is_guess = wait is None or wait <= timedelta(0)
        outcome = Outcome.REFUSED if teaches else Outcome.HELD
        self._dispatcher.settle(permit, outcome, now, seconds, is_guess=is_guess)

    def apply_limits(
        self, statuses: Sequence[LimitStatus], permit: Permit, *, kind: str = "", refused: bool = False
    ) -> None:
        """Apply the limits that the server named, or none, in the answer to a permit's request of that kind.

        Lower limits than ours slow all processes down; higher ones change nothing. Units that the server counts beyond
        our own requests belong to other users of the key, and are counted, too. Without configured limits, the named
        ones are used. A limit that other kinds of requests do not hear of, or that later answers refute, is dropped.
        """
        self._reports.add(statuses, permit, kind=kind, refused=refused)

    async def usage(self) -> Usage:
        """Return the shared counters as of now. Raises LimiterUnavailable."""
        try:
            reply = await self._dispatcher.exchange(self._session.new_request(count_units=True))
        except StoreError as error:
            raise self._session.unavailable(error) from error
        finally:
            if self._task is None:  # called outside of `async with`
                self._session.release()
        return usage_of(reply, self.tiers, self.clock.now())

    def blocked_for(self) -> float:
        """Return the seconds until the next permit can come; 0.0 if permits are free or no task waits.

        May be called from any thread.
        """
        return max(0.0, self._dispatcher.blocked_until - self.clock.monotonic())

    @property
    def losses(self) -> int:
        """The number of times that the store had lost data this process knows."""
        return self._session.losses

    @property
    def exchanges(self) -> int:
        """Exchanges with the store so far."""
        return self._session.exchanges

    def _settle(self, permit: Permit, outcome: Outcome, at: float | None = None) -> None:
        if not permit.settled:
            self._dispatcher.settle(permit, outcome, self.clock.monotonic() if at is None else at)

    def _ended(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        self._dispatcher.fail(failure or RuntimeError(f"the limiter of {self.api} was closed"))


def check_cost(api: str, tiers: Tiers, cost: int) -> None:
    """Raise CostTooHigh for a request that a tier has no room for, or that costs less than one unit."""
    if cost < 1:
        raise CostTooHigh(f"a request of {api} costs {cost}: expected a whole number from 1")
    narrowest = min(tiers, key=lambda tier: tier.amount, default=None)
    if narrowest is not None and cost > narrowest.amount:
        raise CostTooHigh(
            f"a request of {api} costs {cost}, and its limit of {narrowest} has no room for that: "
            "raise the limit or lower cost(request)"
        )
