"""The limiter of one process, on a clock that jumps and with permits in memory."""

import asyncio
import logging
from datetime import timedelta

import pytest
from limits import RateLimitItem

from import_pipeline.errors import ApiBlocked, CostTooHigh, LimiterUnavailable
from import_pipeline.logs import action_of
from import_pipeline.ratelimit import Limiter, Permit, Permits, TierUsage, parse_tiers
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest, StoreError
from import_pipeline.rules.responses.rate_limit_headers import LimitStatus
from import_pipeline.testing import FakeClock, MemoryPermits

pytestmark = pytest.mark.anyio
TIERS = parse_tiers("3/10 second")


def limiter_on(
    clock: FakeClock,
    permits: Permits | None = None,
    tiers: tuple[RateLimitItem, ...] = TIERS,
    patience: timedelta | None = None,
    source: str = "",
) -> Limiter:
    store = permits or MemoryPermits(clock)
    return Limiter("x", tiers, store, clock=clock, patience=patience, chance=lambda: 0.0, source=source)


async def ask_and_answer(limiter: Limiter, log: list[float], latency: float = 0.5, *, first: bool = False) -> None:
    permit = await limiter.acquire(first=first)
    log.append(round(limiter.clock.monotonic(), 2))
    await limiter.clock.sleep(latency)
    limiter.answered(permit)


async def test_places_come_free_a_window_after_the_answer() -> None:
    clock, log = FakeClock(), list[float]()
    async with limiter_on(clock) as limiter, asyncio.TaskGroup() as group:
        for _ in range(7):
            group.create_task(ask_and_answer(limiter, log))
    assert log == [0, 0, 0, 10.5, 10.5, 10.5, 21.0]


async def test_two_processes_share_the_units_and_none_starves() -> None:
    clock, logs = FakeClock(), ([], [])  # type: tuple[list[float], list[float]]
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits) as one, limiter_on(clock, permits) as other, asyncio.TaskGroup() as group:
        for _ in range(15):
            group.create_task(ask_and_answer(one, logs[0]))
            group.create_task(ask_and_answer(other, logs[1]))
    together = sorted(logs[0] + logs[1])
    assert all(later - earlier >= 10.5 for earlier, later in zip(together, together[3:], strict=False))
    assert together[-1] == pytest.approx(9 * 10.5, abs=0.5)


async def test_first_goes_before_all_that_wait() -> None:
    clock, order = FakeClock(), list[str]()

    async def ask(name: str, *, first: bool) -> None:
        limiter.answered(await limiter.acquire(first=first))
        order.append(name)

    async with limiter_on(clock, tiers=parse_tiers("1/10 second")) as limiter, asyncio.TaskGroup() as group:
        for name in ("a", "b", "c", "d1", "d2"):
            group.create_task(ask(name, first=name.startswith("d")))
            await asyncio.sleep(0)
    assert order.index("d1") < order.index("d2") < order.index("b") < order.index("c")


async def test_usage_counts_all_processes() -> None:
    clock = FakeClock()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits) as limiter, limiter_on(clock, permits) as other:
        first, second = await limiter.acquire(), await limiter.acquire()
        limiter.answered(first)
        limiter.refused(second, timedelta(seconds=30))
        await clock.sleep(1)
        usage = await other.usage()
        assert (usage.hits, usage.sleeps, usage.slept_seconds) == (1, 1, pytest.approx(1))
        assert usage.paused_until == pytest.approx(clock.now() + timedelta(seconds=29), abs=timedelta(milliseconds=1))
        assert usage.tiers == (TierUsage(amount=3, seconds=10, used=1),)


async def test_a_pause_beyond_the_patience_is_raised_to_all_that_wait_and_that_come() -> None:
    clock = FakeClock()
    async with limiter_on(clock, patience=timedelta(minutes=1)) as limiter:
        permit = await limiter.acquire()
        limiter.refused(permit, timedelta(hours=2))
        with pytest.raises(ApiBlocked) as caught:
            await limiter.acquire()
        assert caught.value.until == pytest.approx(clock.now() + timedelta(hours=2), abs=timedelta(seconds=1))
        with pytest.raises(ApiBlocked):
            await limiter.acquire()


async def test_a_pause_within_the_patience_is_waited_for_whole() -> None:
    clock = FakeClock()
    async with limiter_on(clock, patience=timedelta(minutes=1)) as limiter:
        limiter.refused(await limiter.acquire(), timedelta(seconds=42))
        await limiter.acquire()
        assert 42 <= clock.monotonic() < 42.1


@pytest.mark.parametrize("tiers", [parse_tiers("30/10 second"), (), parse_tiers("100000/day")])
async def test_refusals_without_a_hint_pause_for_longer_each_time_whatever_is_configured(
    tiers: tuple[RateLimitItem, ...],
) -> None:
    clock, pauses = FakeClock(), list[float]()
    async with limiter_on(clock, tiers=tiers) as limiter:
        for _ in range(9):
            limiter.refused(await limiter.acquire())
            refused_at = clock.monotonic()
            limiter.unused(await limiter.acquire())
            pauses.append(clock.monotonic() - refused_at)
        assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60], abs=0.1)
        limiter.answered(await limiter.acquire())
        limiter.refused(await limiter.acquire())
        refused_at = clock.now()
        for _ in range(9):
            await asyncio.sleep(0)  # until the store has heard of it
        paused_until = (await limiter.usage()).paused_until
        assert paused_until is not None
        assert (paused_until - refused_at).total_seconds() == pytest.approx(1, abs=0.1), "an answer begins the row anew"


async def test_an_answer_to_what_was_in_flight_before_a_pause_is_no_success_after_it() -> None:
    clock = FakeClock()
    async with limiter_on(clock) as limiter:
        flying, refused = await limiter.acquire(), await limiter.acquire()
        limiter.refused(refused)
        limiter.answered(flying)
        limiter.refused(await limiter.acquire())
        refused_at = clock.monotonic()
        await limiter.acquire()
        assert clock.monotonic() - refused_at == pytest.approx(2, abs=0.1)


async def test_a_pause_that_is_lifted_lets_those_who_wait_go_within_seconds() -> None:
    clock = FakeClock()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits) as limiter, limiter_on(clock, permits) as other:
        limiter.refused(await limiter.acquire(), timedelta(hours=2))
        await clock.sleep(1)
        waiting = [asyncio.create_task(each.acquire()) for each in (limiter, other)]
        await clock.sleep(60)
        assert [each.done() for each in waiting] == [False, False]
        permits.exchange(ExchangeRequest(api="x", process="a person", tiers=(), lift_pause=True))
        probe = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert clock.monotonic() == pytest.approx(63, abs=2.1)
        limiter.answered(next(iter(probe[0])).result())
        await asyncio.wait(waiting)
        assert clock.monotonic() < 67


async def test_a_refusal_that_the_store_has_yet_to_hear_of_pauses_all_the_same() -> None:
    clock = FakeClock()
    async with limiter_on(clock) as limiter:
        first, second = await limiter.acquire(), await limiter.acquire()
        limiter.answered(first)
        limiter.refused(second, timedelta(seconds=30))
        await limiter.acquire()
        assert clock.monotonic() == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(
    ("wait", "tiers", "is_paused"),
    [
        (None, "3/10 second", True),  # nothing was corrected
        (None, "5/10 second", False),
        (timedelta(hours=1), "5/10 second", True),  # the server itself named it
    ],
)
async def test_a_pause_that_was_guessed_dies_with_corrected_limits(
    wait: timedelta | None, tiers: str, is_paused: bool
) -> None:
    clock = FakeClock()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits, TIERS, source="orders") as limiter:
        limiter.refused(await limiter.acquire(), wait)
    async with limiter_on(clock, permits, parse_tiers(tiers), source="invoices") as another:
        assert (await another.usage()).paused_until is not None, "another source corrected nothing"
    async with limiter_on(clock, permits, parse_tiers(tiers), source="orders") as limiter:
        assert ((await limiter.usage()).paused_until is not None) is is_paused


@pytest.mark.parametrize(("tiers", "corrected"), [("10/10 second", "8/10 second"), ("", "8/10 second")])
async def test_what_was_learned_dies_with_corrected_limits_even_if_they_come_back(tiers: str, corrected: str) -> None:
    clock = FakeClock()
    permits = MemoryPermits(clock)

    async def limits(configured: str) -> tuple[float, list[int]]:
        async with limiter_on(clock, permits, parse_tiers(configured), source="orders") as limiter:
            usage = await limiter.usage()
        return usage.allowed_fraction, [tier.amount for tier in usage.tiers]

    async with limiter_on(clock, permits, parse_tiers(tiers), source="orders") as limiter:
        for _ in range(5):
            limiter.answered(await limiter.acquire())
        status = LimitStatus(limit=5, remaining=0, reset=timedelta(seconds=10), window=timedelta(seconds=10))
        permit = await limiter.acquire()
        limiter.apply_limits([status], permit)
        limiter.answered(permit)
        await clock.sleep(1)
    assert (await limits(tiers)) == ((0.5, [10]) if tiers else (1.0, [5]))
    assert (await limits(corrected)) == (1.0, [8])
    assert (await limits(tiers)) == (1.0, [10] if tiers else [])


async def test_a_limit_of_the_list_alone_does_not_hold_for_the_details() -> None:
    """The list names 30 an hour, details 5,000 an hour, under a limit of 5,000 an hour."""
    clock = FakeClock()
    hour = timedelta(hours=1)
    async with limiter_on(clock, tiers=parse_tiers("5000/hour")) as limiter:
        limiter.apply_limits([LimitStatus(limit=30, remaining=29, reset=hour)], await limiter.acquire(), kind="search")
        for number in range(100):
            permit = await limiter.acquire()
            limiter.apply_limits([LimitStatus(limit=5000, remaining=4999 - number, reset=hour)], permit, kind="core")
            limiter.answered(permit)
        assert clock.monotonic() < 1
        assert (await limiter.usage()).allowed_fraction == 1.0


async def test_a_named_limit_that_later_answers_refute_is_dropped_where_none_is_configured() -> None:
    clock = FakeClock()
    minute = timedelta(minutes=1)
    async with limiter_on(clock, tiers=()) as limiter:
        limiter.apply_limits([LimitStatus(limit=9, remaining=8, reset=minute)], await limiter.acquire(), kind="list")
        await clock.sleep(2)
        for _ in range(40):
            permit = await limiter.acquire()
            limiter.apply_limits([], permit, kind="detail")
            limiter.answered(permit)
        assert clock.monotonic() < 5
        assert (await limiter.usage()).tiers == ()


async def test_a_server_that_names_more_again_is_believed_at_once() -> None:
    clock = FakeClock()
    async with limiter_on(clock, tiers=parse_tiers("100/20 second")) as limiter:
        for limit, part in ((40, 0.4), (80, 0.8), (100, 1.0)):
            status = LimitStatus(limit=limit, remaining=limit - 1, reset=timedelta(seconds=20))
            permit = await limiter.acquire()
            limiter.apply_limits([status], permit)
            limiter.answered(permit)
            await clock.sleep(1)
            assert (await limiter.usage()).allowed_fraction == part


async def test_without_tiers_only_the_pause_is_shared() -> None:
    """A hundred permits at once and hardly an ask; a refusal in one process stops the other within a second."""
    clock = FakeClock()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits, ()) as limiter, limiter_on(clock, permits, ()) as other:
        for _ in range(100):
            limiter.answered(await limiter.acquire())
        assert (clock.monotonic(), limiter.exchanges) == (0, 1)
        await other.acquire()
        limiter.refused(await limiter.acquire(), timedelta(seconds=20))
        await clock.sleep(1)
        probe = await other.acquire()
        assert clock.monotonic() == pytest.approx(20, abs=0.1)
        waiting = asyncio.create_task(limiter.acquire())
        await clock.sleep(1)
        assert not waiting.done()
        other.answered(probe)
        await waiting


async def test_a_request_that_costs_more_takes_more_places_or_none() -> None:
    clock, log = FakeClock(), list[float]()
    async with limiter_on(clock, tiers=parse_tiers("5/10 second")) as limiter:
        for cost in (2, 2, 2, 1, 4):
            permit = await limiter.acquire(cost=cost)
            log.append(round(clock.monotonic(), 1))
            limiter.answered(permit)
        assert (await limiter.usage()).tiers[0].used == 4
    assert log == [0, 0, 10, 10, 20]


@pytest.mark.parametrize(("cost", "reason"), [(6, r"costs 6.*5 per 10 second.*cost\(request\)"), (0, "from 1")])
async def test_a_cost_that_no_window_has_room_for_is_refused(cost: int, reason: str) -> None:
    async with limiter_on(FakeClock(), tiers=parse_tiers("5/10 second; 40/100 second")) as limiter:
        with pytest.raises(CostTooHigh, match=reason):
            await limiter.acquire(cost=cost)


async def test_the_number_of_requests_in_flight_is_shared() -> None:
    """Two processes, three requests of a second each at once: seven take three seconds, and no process polls much."""
    clock, log = FakeClock(), list[float]()
    permits = MemoryPermits(clock)
    tiers = parse_tiers("3 concurrent")
    one, other = limiter_on(clock, permits, tiers), limiter_on(clock, permits, tiers)
    async with one, other, asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(ask_and_answer((one, other)[number % 2], log, 1.0))
        await clock.sleep(0.5)
        usage = await one.usage()
        assert (usage.in_flight, usage.concurrent, usage.tiers) == (3, 3, ())
    assert log == [0, 0, 0, *[pytest.approx(1, abs=0.2)] * 3, pytest.approx(2, abs=0.3)]


async def test_limits_named_by_headers_are_shared_and_shown() -> None:
    """One process hears that there are 5 per 10 s and tells its three requests; the other has two places left."""
    clock, log = FakeClock(), list[float]()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits, ()) as one, limiter_on(clock, permits, ()) as other:
        for _ in range(3):
            permit = await one.acquire()
            one.answered(permit)
        one.apply_limits([LimitStatus(limit=5, remaining=2, window=timedelta(seconds=10))], permit)
        await clock.sleep(1.1)
        usage = await other.usage()
        assert (usage.is_learned, usage.tiers) == (True, (TierUsage(amount=5, seconds=10, used=3),))
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(ask_and_answer(other, log, 0))
    assert log == [1.1, 1.1, pytest.approx(10, abs=0.1)]


@pytest.mark.parametrize(
    "status",
    [
        LimitStatus(remaining=3, window=timedelta(seconds=10)),
        LimitStatus(limit=5, remaining=2),
        LimitStatus(limit=5, remaining=2, reset=timedelta(0)),
        LimitStatus(limit=5, remaining=2, reset=timedelta(days=366), is_moment=True),
        LimitStatus(limit=0, window=timedelta(seconds=10)),
    ],
)
async def test_a_limit_without_a_sensible_window_is_no_limit(status: LimitStatus) -> None:
    clock = FakeClock()
    async with limiter_on(clock, tiers=()) as limiter:
        permit = await limiter.acquire()
        limiter.answered(permit)
        limiter.apply_limits([status], permit)
        for _ in range(20):
            limiter.answered(await limiter.acquire())
        assert (clock.monotonic(), (await limiter.usage()).tiers) == (0, ())


async def test_a_cancelled_wait_gives_its_permit_back() -> None:
    clock = FakeClock()
    async with limiter_on(clock, tiers=parse_tiers("1/10 second")) as limiter:
        held = await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire())
        await clock.sleep(0.1)
        waiting.cancel()
        limiter.unused(held)
        before = clock.monotonic()
        await limiter.acquire()
        assert clock.monotonic() - before < 0.1


async def test_cancelled_at_the_moment_of_the_grant_gives_it_back_too() -> None:
    clock = FakeClock()
    async with limiter_on(clock, tiers=parse_tiers("1/10 second")) as limiter:
        task = asyncio.create_task(limiter.acquire())
        while (await limiter.usage()).tiers[0].used == 0:  # noqa: ASYNC110  turns of the loop are what is counted
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await limiter.acquire()
        assert clock.monotonic() < 0.1


async def test_no_permit_is_granted_after_grant_no_more_and_no_unit_is_taken() -> None:
    """Neither who has a permit that may start a little later, nor who waits for one, nor who comes then."""
    clock, log = FakeClock(), list[float]()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits) as limiter:
        tasks = [asyncio.create_task(ask_and_answer(limiter, log)) for _ in range(5)]
        await clock.sleep(1)
        limiter.grant_no_more()
        tasks.append(asyncio.create_task(ask_and_answer(limiter, log)))
        await clock.sleep(60)
        assert (log, [task.done() for task in tasks]) == ([0, 0, 0], [True] * 3 + [False] * 3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    async with limiter_on(clock, permits) as other:
        for _ in range(3):
            await other.acquire()
    assert clock.monotonic() < 62, "three places are free"


async def test_blocked_for_shows_gaps_only_while_tasks_wait() -> None:
    clock = FakeClock()
    async with limiter_on(clock, tiers=parse_tiers("1/10 second")) as limiter:
        assert limiter.blocked_for() == 0
        limiter.answered(await limiter.acquire())
        assert limiter.blocked_for() == 0
        waiting = asyncio.create_task(limiter.acquire())
        await clock.sleep(1)
        assert 0.9 < limiter.blocked_for() <= 9
        waiting.cancel()
        await clock.sleep(1)
        assert limiter.blocked_for() == 0


class FlakyPermits(MemoryPermits):
    """A store that answers only while `up`; what it did before an error stays done."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.up = True
        self.asks: list[ExchangeRequest] = []

    def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
        self.asks.append(ask)
        result = super().exchange(ask)
        if not self.up:
            raise StoreError("connection refused")
        return result


async def test_nothing_is_granted_while_the_store_is_away() -> None:
    clock = FakeClock()
    permits = FlakyPermits(clock)
    async with limiter_on(clock, permits) as limiter:
        permits.up = False
        waiting = asyncio.create_task(limiter.acquire())
        await clock.sleep(5)
        assert not waiting.done()
        permits.up = True
        assert isinstance(await waiting, Permit)
        assert clock.monotonic() == pytest.approx(5, abs=0.3)


async def test_an_outage_of_the_store_is_logged_once_within_seconds_and_its_end_too(caplog) -> None:
    clock = FakeClock()
    permits = FlakyPermits(clock)
    caplog.set_level(logging.INFO, "import_pipeline")
    async with limiter_on(clock, permits) as limiter:
        permits.up = False
        waiting = asyncio.create_task(limiter.acquire())
        await clock.sleep(1.5)
        assert caplog.records == [], "an answer may get lost"
        await clock.sleep(1.5)
        [record] = caplog.records
        assert (action_of(record), record.levelno) == ("store_silent", logging.WARNING)
        assert record.getMessage().endswith("nothing is sent until it does: connection refused.")
        await clock.sleep(10)
        permits.up = True
        await waiting
    assert [action_of(each) for each in caplog.records] == ["store_silent", "store_answers"]


async def test_permits_that_an_unheard_answer_granted_are_given_back() -> None:
    """The store did its step and the answer got lost: those names come back as unused, and new ones are asked for."""
    clock = FakeClock()
    permits = FlakyPermits(clock)
    async with limiter_on(clock, permits, parse_tiers("1/10 second")) as limiter:
        permits.up = False
        waiting = asyncio.create_task(limiter.acquire())
        await clock.sleep(0.1)
        permits.up = True
        await waiting
        assert clock.monotonic() < 1


async def test_a_store_that_stays_away_is_an_error_after_the_patience() -> None:
    clock = FakeClock()
    permits = FlakyPermits(clock)
    permits.up = False
    async with limiter_on(clock, permits) as limiter:
        with pytest.raises(LimiterUnavailable, match="connection refused"):
            await limiter.acquire()
        assert clock.monotonic() == pytest.approx(60, abs=0.5)
        with pytest.raises(LimiterUnavailable):
            await limiter.usage()
        with pytest.raises(LimiterUnavailable):
            await limiter.acquire()
        assert clock.monotonic() == pytest.approx(60, abs=1)


async def test_permits_that_still_count_are_replayed_to_an_emptied_store() -> None:
    clock, log = FakeClock(), list[float]()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits) as limiter:
        limiter.answered(await limiter.acquire())
        flying = await limiter.acquire()
        limiter.cut_off(await limiter.acquire())
        await clock.sleep(4)
        permits.forget()
        assert (await limiter.usage()).tiers[0].used == 0
        await clock.sleep(0.1)
        assert (await limiter.usage()).tiers[0].used == 3
        limiter.answered(flying)
        await ask_and_answer(limiter, log)
    assert log == [pytest.approx(10, abs=0.1)]


async def test_no_delay_is_measured_where_a_connection_broke() -> None:
    class Recording(MemoryPermits):
        measured = 0

        def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
            self.measured += ask.latencies.samples
            return super().exchange(ask)

    clock = FakeClock()
    permits = Recording(clock)
    async with limiter_on(clock, permits) as limiter:
        for settle in (limiter.answered, limiter.cut_off, limiter.cut_off):
            permit = await limiter.acquire()
            permit.sent = clock.monotonic()
            settle(permit)
    assert permits.measured == 1


async def test_a_limiter_that_closes_replays_its_permits_to_an_emptied_store() -> None:
    clock = FakeClock()
    permits = MemoryPermits(clock)
    async with limiter_on(clock, permits) as limiter:
        last = await limiter.acquire()
        limiter.answered(await limiter.acquire())
        limiter.answered(await limiter.acquire())
        await clock.sleep(1)
        permits.forget()
        limiter.answered(last)
    assert (await limiter_on(clock, permits).usage()).tiers[0].used == 3


async def test_no_more_than_one_ask_per_request() -> None:
    clock, log = FakeClock(), list[float]()
    async with limiter_on(clock, tiers=parse_tiers("20/2 second; 50/10 second")) as limiter:

        async def worker() -> None:
            for _ in range(20):
                await ask_and_answer(limiter, log, 0.03)

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(worker())
    assert len(log) == 200
    assert limiter.exchanges <= 200


async def test_a_closed_limiter_says_so() -> None:
    limiter = limiter_on(FakeClock())
    with pytest.raises(RuntimeError, match="async with"):
        await limiter.acquire()


async def test_closing_reports_the_last_answers() -> None:
    clock = FakeClock()
    permits = FlakyPermits(clock)
    async with limiter_on(clock, permits) as limiter:
        limiter.answered(await limiter.acquire())
    assert [len(ask.settled) for ask in permits.asks] == [0, 1]
