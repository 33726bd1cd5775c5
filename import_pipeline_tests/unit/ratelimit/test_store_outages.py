"""A rate-limit store that is away, loses an answer or comes back empty."""

import asyncio
import logging

import pytest

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.logs import action_of
from import_pipeline.ratelimit import Permit, parse_tiers
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest, StoreError
from import_pipeline.testing import FakeClock, MemoryPermits
from import_pipeline_tests.support.limiters import ask_and_answer, limiter_on

pytestmark = pytest.mark.anyio


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
    """The store's answer is lost: its permits are returned as unused, and new ones are requested."""
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


async def test_closing_reports_the_last_answers() -> None:
    clock = FakeClock()
    permits = FlakyPermits(clock)
    async with limiter_on(clock, permits) as limiter:
        limiter.answered(await limiter.acquire())
    assert [len(ask.settled) for ask in permits.asks] == [0, 1]
