"""Limits that a limiter learns from headers: shared, shown, and dropped when refuted or corrected."""

import asyncio
from datetime import timedelta

import pytest

from import_pipeline.ratelimit import TierUsage, parse_tiers
from import_pipeline.rules.responses.rate_limit_headers import LimitStatus
from import_pipeline.testing import FakeClock, MemoryPermits
from import_pipeline_tests.support.limiters import ask_and_answer, limiter_on

pytestmark = pytest.mark.anyio


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


async def test_limits_named_by_headers_are_shared_and_shown() -> None:
    """One process learns of 5 per 10 s and reports its three requests; the other has two places left."""
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
