"""Permits of the transport: requests that are sent, broken off, cancelled or late."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, parse_tiers
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest
from import_pipeline.testing import CannedTransport, FakeClock, MemoryPermits
from import_pipeline_tests.support.limited_client import client_of, in_turn

pytestmark = pytest.mark.anyio


async def test_every_request_gives_up_at_its_deadline_and_keeps_its_place_for_as_long_as_it_can_arrive() -> None:
    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    clock, seen = FakeClock(), list[int | None]()
    async with client_of(Hanging(), clock, "1/10 second", deadline=0.05, observe=seen.append) as (client, limiter):
        with pytest.raises(httpx.ReadTimeout, match=r"no whole answer within 0\.05 s"):
            await client.get("/")
        assert seen == [None]
        await limiter.acquire()
        assert clock.monotonic() == pytest.approx(12.05, abs=0.1)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.PoolTimeout("full")])
async def test_what_was_never_sent_takes_no_place(error: Exception) -> None:
    clock = FakeClock()
    async with client_of(in_turn(error), clock, "1/10 second") as (client, limiter):
        with pytest.raises(type(error)):
            await client.get("/")
        await limiter.acquire()
        assert clock.monotonic() < 0.1


@pytest.mark.parametrize(
    ("error", "until"),
    [
        (httpx.ReadError("reset"), 12),  # two seconds under way, then a window
        (httpx.WriteError("reset"), 12),
        (httpx.CloseError("reset"), 12),
        (httpx.RemoteProtocolError("closed"), 12),
        (httpx.ReadTimeout("silence"), 42),  # it can arrive for its deadline and two seconds, then a window
        (httpx.WriteTimeout("silence"), 42),
        (httpx.ConnectTimeout("silence"), 42),
    ],
)
async def test_a_broken_connection_brings_nothing_more_and_a_silent_one_may(error: Exception, until: float) -> None:
    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await clock.sleep(2)
            raise error

    clock = FakeClock()
    async with client_of(Failing(), clock, "1/10 second") as (client, limiter):
        with pytest.raises(type(error)):
            await client.get("/")
        await limiter.acquire()
        assert clock.monotonic() == pytest.approx(until, abs=0.1)


async def test_a_connection_that_we_close_may_still_bring_the_request_there() -> None:
    class Closable(httpx.AsyncBaseTransport):
        closed = asyncio.Event()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await self.closed.wait()
            raise httpx.ReadError("closed")

        async def aclose(self) -> None:
            self.closed.set()

    clock = FakeClock()
    async with client_of(Closable(), clock, "1/10 second", deadline=3.0) as (client, limiter):
        flying = asyncio.create_task(client.get("/"))
        await clock.sleep(1)
        await client.aclose()
        await asyncio.wait([flying])
        assert isinstance(flying.exception(), httpx.ReadError)
        await limiter.acquire()
        assert clock.monotonic() == pytest.approx(15, abs=0.1)


async def test_options_travel_with_the_request() -> None:
    clock = FakeClock()
    transport = CannedTransport(lambda request: {"path": request.url.path})
    async with client_of(transport, clock, "1/10 second") as (client, _), asyncio.TaskGroup() as group:
        for path in ("/a", "/b", "/c"):
            group.create_task(client.get(path))
            await asyncio.sleep(0)
        options = {"import_pipeline": {"first": True}}
        group.create_task(client.get("/page", extensions=options))
    paths = [request.url.path for request in transport.requests]
    assert paths.index("/page") < paths.index("/b") < paths.index("/c")


async def test_cancelled_in_flight_it_keeps_its_place_cancelled_before_it_does_not() -> None:
    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await clock.sleep(2)
            return httpx.Response(200)

    clock = FakeClock()
    async with client_of(Slow(), clock, "2/10 second") as (client, limiter):
        flying, other = asyncio.create_task(client.get("/")), asyncio.create_task(client.get("/"))
        waiting = asyncio.create_task(client.get("/"))
        await clock.sleep(1)
        flying.cancel()
        waiting.cancel()
        await asyncio.wait([flying, other, waiting])
        await clock.sleep(5)
        assert (await limiter.usage()).tiers[0].used == 2
        await clock.sleep(10)
        assert (await limiter.usage()).tiers[0].used == 1  # the cancelled one can arrive for 30 seconds


async def test_a_process_that_stood_still_sends_on_a_fresh_permit() -> None:
    """The process freezes for more than half of the deadline between grant and sending: the permit may expire."""

    class Freezing(MemoryPermits):
        def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
            result = super().exchange(ask)
            return replace(result, starts=tuple(start - 20_000_000 for start in result.starts)) if first() else result

    turns = iter([True])

    def first() -> bool:
        return next(turns, False)

    clock, transport = FakeClock(), in_turn({})
    async with Limiter("x", parse_tiers("5/10 second"), Freezing(clock), clock=clock) as limiter:
        async with httpx.AsyncClient(transport=RateLimitedTransport(transport, limiter)) as client:
            assert (await client.get("https://api.test/")).status_code == 200
        assert (limiter.exchanges, len(transport.requests)) == (2, 1)
