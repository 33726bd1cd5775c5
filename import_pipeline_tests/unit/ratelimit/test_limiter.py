"""Permits of one limiter, on a fake clock with permits in memory: windows, order, costs, cancelled waits."""

import asyncio
from datetime import timedelta

import pytest

from import_pipeline.errors import CostTooHigh
from import_pipeline.ratelimit import TierUsage, parse_tiers
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest
from import_pipeline.testing import FakeClock, MemoryPermits
from import_pipeline_tests.support.limiters import ask_and_answer, limiter_on

pytestmark = pytest.mark.anyio


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


async def test_a_first_request_precedes_all_that_wait() -> None:
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
    """No task starts: not with a permit that may start a little later, not after a wait, and not a new one."""
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
