"""Pauses after refusals: their length, their end, and the processes that they hold."""

import asyncio
from datetime import timedelta

import pytest
from limits import RateLimitItem

from import_pipeline.errors import ApiBlocked
from import_pipeline.ratelimit import parse_tiers
from import_pipeline.ratelimit.protocol import ExchangeRequest
from import_pipeline.testing import FakeClock, MemoryPermits
from import_pipeline_tests.support.limiters import TIERS, limiter_on

pytestmark = pytest.mark.anyio


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


async def test_without_tiers_only_the_pause_is_shared() -> None:
    """A hundred permits take one exchange; a refusal in one process stops the other within a second."""
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
