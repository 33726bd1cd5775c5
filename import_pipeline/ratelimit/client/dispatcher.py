"""The one task per process and api that talks to the store, for all waiting tasks at once."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from limits import RateLimitItem

from import_pipeline.clock import Clock, Random
from import_pipeline.ratelimit.algorithm.bucketed_window import is_bucketed
from import_pipeline.ratelimit.client.outbox import Outbox, SettledPermit
from import_pipeline.ratelimit.client.permit_history import PermitHistory
from import_pipeline.ratelimit.client.store_outage import StoreOutage
from import_pipeline.ratelimit.client.wait_queue import Permit, Waiter, WaitQueue
from import_pipeline.ratelimit.protocol import (
    SECOND,
    AdvertisedLimit,
    ExchangeReply,
    ExchangeRequest,
    Outcome,
    PermitRequest,
    PermitStore,
    StoreError,
    name_of_lane,
)

LOOK_AHEAD = 0.03  #: seconds; permits that come free within are given out with the moment of their start
#: Seconds: answers are told after a twentieth of the shortest window at the latest, since others wait for their places.
SOONEST_FLUSH, LATEST_FLUSH = 0.05, 0.25
LOOK_AGAIN = 2.0  #: seconds; the longest without asking while somebody waits for a tier: a place may come free early
TRY_AGAIN = 0.25  #: seconds between asks while the store does not answer
MARGIN = 2.0  #: seconds that a request may take to arrive after its sender has given up
FREE_MEMORY = 3600.0  #: seconds; where no limits are known, requests are remembered for them to be found


@dataclass(slots=True)
class Dispatcher:
    """Collects settled permits and waiting tasks, asks the store, hands out what it grants."""

    api: str
    tiers: Sequence[RateLimitItem]
    concurrent: int
    permits: PermitStore
    clock: Clock
    chance: Random
    store_patience: float
    lane: str  #: of the api, what is counted apart; empty: all requests
    source: str  #: whose configured limits these are; empty: nobody's
    heard: Callable[[ExchangeReply], BaseException | None]  #: returns the error for waiting tasks, if any
    unreachable: Callable[[StoreError], BaseException]
    latest: ExchangeReply | None = None
    next_ask: float = 0.0
    blocked_until: float = 0.0  #: when the next permit can come while tasks wait, for other threads to read
    outbox: Outbox = field(default_factory=Outbox)
    asks: int = 0
    losses: int = 0  #: how often the store had forgotten what this process knows
    reports_permits: bool = False  #: whether the store is told of every permit; not where no limits are known
    _process: str = field(default_factory=lambda: os.urandom(6).hex())
    _count: int = 0
    _queue: WaitQueue = field(default_factory=WaitQueue)
    _flush_at: float = 0.0
    _closing: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _thread: ThreadPoolExecutor | None = None
    _history: PermitHistory = field(init=False)
    _outage: StoreOutage = field(init=False)
    _flush: float = field(init=False)

    def __post_init__(self) -> None:
        self._outage = StoreOutage(self.api)
        windows = [tier.get_expiry() for tier in self.tiers]
        short = [tier.get_expiry() for tier in self.tiers if not is_bucketed(tier.amount, tier.get_expiry() * SECOND)]
        self.reports_permits = bool(self.tiers) or self.concurrent > 0
        window = max(short, default=0.0 if self.reports_permits else FREE_MEMORY)
        self._history = PermitHistory(window, max(windows, default=0.0))
        self._flush = max(SOONEST_FLUSH, min(LATEST_FLUSH, min(windows, default=0) / 20))

    # What waiting tasks call

    def free_permit(self, deadline: float, cost: int) -> Permit:
        """A permit that nobody is asked for, since no limits are known."""
        now = self.clock.monotonic()
        permit = Permit(name=self._next_name(), start=now, expires=now + deadline, cost=cost, shared=False)
        self._history.granted(permit.name, cost, permit.expires + MARGIN)
        return permit

    def wait_for_permit(self, deadline: float, cost: int, *, first: bool) -> Waiter:
        """Stand in the line; `first` goes before all that do not."""
        waiter = self._queue.join(deadline, cost, first=first)
        self._wake.set()
        return waiter

    def withdraw(self, waiter: Waiter) -> None:
        """Leave the line."""
        waiter.granted.cancel()
        self._wake.set()

    def settle(
        self, permit: Permit, outcome: Outcome, moment: float, wait: float = 0.0, *, is_guess: bool = False
    ) -> None:
        """Remember the outcome for the next step; what frees a place or concerns all is told at once."""
        permit.settled = True
        if outcome is Outcome.ANSWERED or outcome is Outcome.CUT_OFF:
            self._history.answered(permit.name, permit.cost, moment)
        else:
            self._history.remove(permit.name)
        if outcome is Outcome.ANSWERED:
            self.outbox.add_latency(permit, moment)
        if outcome in (Outcome.REFUSED, Outcome.HELD):
            self._report_permits()
        if not self.reports_permits and not permit.shared:
            return
        now = self.clock.monotonic()
        if not self.outbox.settled:
            self._flush_at = now + self._flush
        is_full = self.concurrent or (self.latest is not None and self.latest.inferred_concurrency)
        if outcome is not Outcome.ANSWERED or (is_full and self._queue):
            self._flush_at = now
        took = max(0.0, moment - (permit.start if permit.sent is None else permit.sent))
        self.outbox.settled.append(SettledPermit(permit.name, permit.cost, outcome, moment, wait, is_guess, took))
        self._wake.set()

    @property
    def has_inferred_tiers(self) -> bool:
        """True if the store has inferred tiers."""
        return self.latest is not None and bool(self.latest.inferred_tiers)

    def add_limits(self, limits: Sequence[AdvertisedLimit]) -> None:
        """An answer that came now named these limits, and none is configured."""
        now = self.clock.monotonic()
        self.outbox.add_limits(limits, now)
        if not self.has_inferred_tiers:
            self._report_permits()
            self._flush_at = now
            self._wake.set()

    # The one task

    async def run(self) -> None:
        """Serve until `close()`; what is settled by then is told in a last step."""
        while not self._closing:
            await self._until_due()
            if not self._closing:
                await self._step()
        with suppress(StoreError):
            for _ in range(2):  # a store that was emptied asks to be told again
                if self.outbox:
                    outbox, self.outbox = self.outbox, Outbox()
                    await self.talk(self._ask([], outbox))

    def close(self) -> None:
        """Let `run()` end."""
        self._closing = True
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """Tell every waiting task."""
        self._queue.fail(error)

    async def talk(self, ask: ExchangeRequest) -> ExchangeReply:
        """One step with the store, in the one thread for it where it blocks; raises StoreError."""
        self.asks += 1
        if self.permits.blocks:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix=f"limits-{self.api}")
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self.permits.exchange, ask)
        else:
            result = self.permits.exchange(ask)
        self.source = ""  # told once: a process that was configured otherwise may have begun since
        if result.lost:
            self.losses += 1
            now = self.clock.monotonic()
            self.outbox.replayed = self._history.replay(now)
            self.outbox.bucket_counts = self._history.replay_buckets(now) if result.emptied else []
            self._flush_at = 0.0
            self._wake.set()
        return result

    def release(self) -> None:
        """Give the thread and the store's connection back."""
        if self._thread is not None:
            self._thread.submit(self.permits.close)
            self._thread.shutdown(wait=True)
            self._thread = None

    def ask(self, *, count: bool = False) -> ExchangeRequest:
        """A question only: nothing settled, nothing wanted."""
        return ExchangeRequest(
            api=name_of_lane(self.api, self.lane),
            process=self._process,
            tiers=tuple((tier.amount, tier.get_expiry() * SECOND) for tier in self.tiers),
            concurrent=self.concurrent,
            look_ahead=int(LOOK_AHEAD * SECOND),
            count_units=count,
            source=self.source,
        )

    def _report_permits(self) -> None:
        """From now on the store is told of every permit, beginning with those of late."""
        if not self.reports_permits:
            self.reports_permits = True
            self.outbox.replayed = self._history.replay(self.clock.monotonic())

    def _next_name(self) -> str:
        self._count += 1
        return f"{self._process}{self._count:x}"

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
        is_new = self.outbox.names_limits and not self.has_inferred_tiers
        due = self._flush_at if self.outbox.settled or self.outbox.replayed or is_new else float("inf")
        self._queue.tidy()
        if self._queue:
            due = min(due, self.next_ask)
        else:
            self.blocked_until = 0.0
        # A store that does not answer is not asked more often because there is more to tell.
        return due if self._outage.since is None else max(due, self.next_ask)

    def _ask(self, waiters: Sequence[Waiter], outbox: Outbox) -> ExchangeRequest:
        for waiter in waiters:
            waiter.name = self._next_name()
        wanted = tuple(
            PermitRequest(permit=waiter.name, lifetime=int((waiter.deadline + MARGIN) * SECOND), cost=waiter.cost)
            for waiter in waiters
        )
        return replace(outbox.added_to(self.ask(), self.clock.monotonic()), wanted=wanted)

    async def _step(self) -> None:
        waiters = self._queue.next_batch()
        outbox, self.outbox = self.outbox, Outbox()
        try:
            result = await self.talk(self._ask(waiters, outbox))
        except StoreError as error:
            self.outbox.put_back(outbox)
            self._store_failed(waiters, error)
            return
        self._outage.recovered(self.clock.monotonic())
        self._hand_out(waiters, result)

    def _store_failed(self, waiters: Sequence[Waiter], error: StoreError) -> None:
        now = self.clock.monotonic()
        # It may have granted them all the same; those names are not used again.
        self.outbox.settled += [SettledPermit(waiter.name, waiter.cost, Outcome.UNUSED, now) for waiter in waiters]
        self.next_ask = self.blocked_until = now + TRY_AGAIN
        if self._outage.failed(error, now) >= self.store_patience:
            self.fail(self.unreachable(error))

    def _hand_out(self, waiters: Sequence[Waiter], result: ExchangeReply) -> None:
        now = self.clock.monotonic()
        self.latest = result
        if not self.tiers and not self.concurrent:
            if result.inferred_tiers or result.inferred_concurrency or result.pause or result.probing:
                self._report_permits()
            elif not self.outbox:
                self.reports_permits = False
        for waiter, start in zip(waiters, result.starts, strict=False):
            begin = now + start / SECOND
            expires = begin + waiter.deadline
            permit = Permit(waiter.name, begin, expires, cost=waiter.cost, shared=self.reports_permits)
            self._history.granted(permit.name, permit.cost, permit.expires + MARGIN)
            if waiter.granted.done():
                self.settle(permit, Outcome.UNUSED, now)
            else:
                waiter.granted.set_result(permit)
        self._history.tidy(now)
        error = self.heard(result)
        if error is not None:
            self.fail(error)
        wait = result.wait / SECOND
        # Chance decides between processes, so that none starves. A tier's place is given a look-ahead before it comes
        # free: whoever asks half of that later gets a handful at once, still in time. A pause knows no such thing, but
        # it is looked at again as often: a person may lift it.
        lot = LOOK_AHEAD / 4 * self.chance()
        later = min(wait, LOOK_AGAIN) + lot + (0.0 if result.pause else LOOK_AHEAD / 2)
        self.next_ask = now + (later if result.wait else 0.0)
        blocked_until = now + wait if result.pause else self.next_ask
        self.blocked_until = blocked_until if len(result.starts) < len(waiters) else 0.0
