"""The dispatcher: the one task per process and API that talks to the store, for all waiting tasks at once."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from import_pipeline.clock import Clock, Random
from import_pipeline.ratelimit.client.outbox import Outbox, SettledPermit
from import_pipeline.ratelimit.client.pause import Pause
from import_pipeline.ratelimit.client.reports import MARGIN, Reports
from import_pipeline.ratelimit.client.store_outage import StoreOutage
from import_pipeline.ratelimit.client.store_session import LOOK_AHEAD, StoreSession
from import_pipeline.ratelimit.client.wait_queue import Permit, Waiter, WaitQueue
from import_pipeline.ratelimit.protocol import (
    SECOND,
    AdvertisedLimit,
    ExchangeReply,
    ExchangeRequest,
    Outcome,
    PermitRequest,
    StoreError,
)

POLL = 2.0  #: seconds; the longest time between exchanges while tasks wait for a tier: units may come free early
TRY_AGAIN = 0.25  #: seconds between exchanges while the store does not answer


@dataclass(slots=True)
class Dispatcher:
    """Collects settled permits and waiting tasks, exchanges them with the store, and hands out what it grants."""

    session: StoreSession
    pause: Pause
    clock: Clock
    chance: Random
    store_patience: float  #: seconds without an answer of the store before waiting tasks fail
    blocked_until: float = 0.0  #: when the next permit can come while tasks wait; other threads may read it
    reports: Reports = field(init=False)
    _next_exchange: float = 0.0
    _queue: WaitQueue = field(default_factory=WaitQueue)
    _closing: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _outage: StoreOutage = field(init=False)

    def __post_init__(self) -> None:
        self.reports = Reports(self.session.tiers, self.clock)
        self._outage = StoreOutage(self.session.api)

    # For waiting tasks

    def free_permit(self, deadline: float, cost: int) -> Permit:
        """Return a permit without an exchange, since no limits are known."""
        now = self.clock.monotonic()
        name = self.session.next_name()
        permit = Permit(name, now, now + deadline, cost=cost, shared=False, pauses=self.pause.number)
        self.reports.granted(permit)
        return permit

    async def next_permit(self, deadline: float, cost: int, *, first: bool) -> Permit:
        """Wait in the queue for a permit and until its start; with `first`, before all that wait without it."""
        waiter = self._queue.join(deadline, cost, first=first)
        self._wake.set()
        try:
            permit = await waiter.granted
            delay = permit.start - self.clock.monotonic()
            if delay > 0:
                await self.clock.sleep(delay)
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        permit.pauses = self.pause.number
        return permit

    def settle(
        self, permit: Permit, outcome: Outcome, moment: float, wait: float = 0.0, *, is_guess: bool = False
    ) -> None:
        """Report a permit's outcome to the store."""
        is_waited_for = bool(self._queue)
        if self.reports.settle(permit, outcome, moment, wait, is_guess=is_guess, is_waited_for=is_waited_for):
            self._wake.set()

    def add_limits(self, limits: Sequence[AdvertisedLimit]) -> None:
        """Report limits that an answer named just now, for an API without configured ones."""
        self.pause.free_until = 0.0
        if self.reports.add_limits(limits):
            self._wake.set()

    # The task

    async def run(self) -> None:
        """Exchange until `close()`, then send the rest of the outbox."""
        while not self._closing:
            await self._until_due()
            if not self._closing:
                await self._step()
        with suppress(StoreError):
            for _ in range(2):  # an emptied store asks for a replay
                if self.reports.outbox:
                    await self.exchange(self._request([], self.reports.take()))

    def close(self) -> None:
        """Let `run()` end."""
        self._closing = True
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """Raise an error in every waiting task."""
        self._queue.fail(error)

    async def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        """Execute one exchange, and prepare a replay if the store lost data. Raises StoreError."""
        reply = await self.session.exchange(request)
        if reply.lost:
            self.reports.replay(with_buckets=reply.emptied)
            self._wake.set()
        return reply

    def _withdraw(self, waiter: Waiter) -> None:
        granted = waiter.granted
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            permit = granted.result()
            if not permit.settled:
                self.settle(permit, Outcome.UNUSED, self.clock.monotonic())
            return
        granted.cancel()
        self._wake.set()

    async def _until_due(self) -> None:
        while not self._closing:
            now, due = self.clock.monotonic(), self._due()
            if due <= now:
                return
            self._wake.clear()
            timer = asyncio.create_task(self._wake_in(due - now)) if due < float("inf") else None
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _wake_in(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self._wake.set()

    def _due(self) -> float:
        due = self.reports.due
        self._queue.tidy()
        if self._queue:
            due = min(due, self._next_exchange)
        else:
            self.blocked_until = 0.0
        # A store that does not answer is not called more often because there is more to report.
        return due if self._outage.since is None else max(due, self._next_exchange)

    def _request(self, waiters: Sequence[Waiter], outbox: Outbox) -> ExchangeRequest:
        for waiter in waiters:
            waiter.name = self.session.next_name()
        wanted = tuple(
            PermitRequest(permit=waiter.name, lifetime=int((waiter.deadline + MARGIN) * SECOND), cost=waiter.cost)
            for waiter in waiters
        )
        return replace(outbox.added_to(self.session.new_request(), self.clock.monotonic()), wanted=wanted)

    async def _step(self) -> None:
        waiters = self._queue.next_batch()
        outbox = self.reports.take()
        try:
            reply = await self.exchange(self._request(waiters, outbox))
        except StoreError as error:
            self.reports.outbox.put_back(outbox)
            self._store_failed(waiters, error)
            return
        self._outage.recovered(self.clock.monotonic())
        self._hand_out(waiters, reply)

    def _store_failed(self, waiters: Sequence[Waiter], error: StoreError) -> None:
        now = self.clock.monotonic()
        # The store may have granted them all the same; those names are not used again.
        unused = [SettledPermit(waiter.name, waiter.cost, Outcome.UNUSED, now) for waiter in waiters]
        self.reports.outbox.settled += unused
        self._next_exchange = self.blocked_until = now + TRY_AGAIN
        if self._outage.failed(error, now) >= self.store_patience:
            self.fail(self.session.unavailable(error))

    def _hand_out(self, waiters: Sequence[Waiter], reply: ExchangeReply) -> None:
        now = self.clock.monotonic()
        self.reports.update(reply)
        for waiter, start in zip(waiters, reply.starts, strict=False):
            self._grant(waiter, now + start / SECOND, now)
        self.reports.tidy()
        is_free = bool(reply.starts) and not self.reports.reports_permits
        blocked = self.pause.update(reply, is_free=is_free, holds_refusal=self.reports.outbox.holds_refusal)
        if blocked is not None:
            self.fail(blocked)
        self._next_exchange = now + seconds_until_next(reply, self.chance())
        blocked_until = now + reply.wait / SECOND if reply.pause else self._next_exchange
        self.blocked_until = blocked_until if len(reply.starts) < len(waiters) else 0.0

    def _grant(self, waiter: Waiter, start: float, now: float) -> None:
        expires = start + waiter.deadline
        permit = Permit(waiter.name, start, expires, cost=waiter.cost, shared=self.reports.reports_permits)
        self.reports.granted(permit)
        if waiter.granted.done():
            self.settle(permit, Outcome.UNUSED, now)
        else:
            waiter.granted.set_result(permit)


def seconds_until_next(reply: ExchangeReply, chance: float) -> float:
    """Return the time until the next exchange for waiting tasks.

    Chance decides between processes, so that none starves. A unit of a tier is granted a look-ahead before it comes
    free. A process that calls half a look-ahead later gets several at once, still in time. A pause has no look-ahead;
    but a person may lift it, so the store is polled during it, too.
    """
    if not reply.wait:
        return 0.0
    later = LOOK_AHEAD / 4 * chance + (0.0 if reply.pause else LOOK_AHEAD / 2)
    return min(reply.wait / SECOND, POLL) + later
