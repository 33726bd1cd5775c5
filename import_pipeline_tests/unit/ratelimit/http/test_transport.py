"""The transport: refusals are waited out in here, answers come whole, permits always find their way back."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from import_pipeline.errors import ApiBlocked
from import_pipeline.ratelimit import BodyRefused, Limiter, RateLimitedTransport, parse_tiers
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest
from import_pipeline.testing import Answer, CannedTransport, FakeClock, MemoryPermits

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client_of(
    inner: httpx.AsyncBaseTransport,
    clock: FakeClock,
    tiers: str = "5/10 second",
    patience: float | None = None,
    **options: Any,
) -> AsyncIterator[tuple[httpx.AsyncClient, Limiter]]:
    wait = None if patience is None else timedelta(seconds=patience)
    permits = MemoryPermits(clock)
    async with Limiter("x", parse_tiers(tiers), permits, clock=clock, patience=wait, chance=lambda: 0.0) as limiter:
        transport = RateLimitedTransport(inner, limiter, **options)
        async with httpx.AsyncClient(transport=transport, base_url="https://api.test") as client:
            yield client, limiter


def in_turn(*answers: Answer) -> CannedTransport:
    """These answers one after the other, the last one for ever."""
    left = list(answers)
    return CannedTransport(lambda _: left.pop(0) if len(left) > 1 else left[0])


def too_many(**headers: str) -> httpx.Response:
    return httpx.Response(429, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (too_many(retry_after="7"), 7),
        (too_many(date="Tue, 01 Jan 2030 00:00:00 GMT", retry_after="Tue, 01 Jan 2030 00:00:09 GMT"), 9),
        (too_many(x_ratelimit_remaining="0", x_ratelimit_reset="3"), 3),
        (too_many(), 1),  # no hint: the windows say nothing about it
        (too_many(retry_after="0"), 1),
        (too_many(retry_after="-5"), 1),
        (too_many(retry_after="soon"), 1),
        (too_many(retry_after="99999999999"), 1),
        (too_many(retry_after="PT7S"), 7),
        (too_many(retry_after_ms="1500"), 1.5),
        (httpx.Response(429, headers=[("Retry-After", "2"), ("Retry-After", "6")]), 6),
        (httpx.Response(503, headers={"Retry-After": "4"}), 4),
        *((httpx.Response(status, headers={"Retry-After": "4"}), 4) for status in (403, 409, 420, 423, 425, 430)),
        (httpx.Response(403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"}), 5),
    ],
)
async def test_a_refusal_is_waited_out_and_the_request_sent_again(refusal: httpx.Response, expected: float) -> None:
    clock, seen = FakeClock(), list[int | None]()
    async with client_of(in_turn(refusal, {"id": 1}), clock, observe=seen.append) as (client, limiter):
        response = await client.get("/items/1")
        assert (response.json(), seen) == ({"id": 1}, [refusal.status_code, 200])
        assert expected <= clock.monotonic() < expected + 0.1
        assert (await limiter.usage()).hits == 1


async def test_a_503_without_a_wait_is_an_answer_like_any_other() -> None:
    clock = FakeClock()
    async with client_of(in_turn(httpx.Response(503)), clock) as (client, _):
        assert (await client.get("/")).status_code == 503
        assert clock.monotonic() < 0.1


async def test_ten_refusals_in_a_row_use_up_nothing_of_the_callers() -> None:
    clock = FakeClock()
    async with client_of(in_turn(*[too_many(retry_after="2")] * 10, {}), clock) as (client, limiter):
        assert (await client.get("/")).status_code == 200
        assert (await limiter.usage()).hits == 10


async def test_a_status_with_other_meanings_is_no_refusal_for_ever() -> None:
    """An item that stays locked: ten waits, then the answer is what the caller has to judge."""
    clock, seen = FakeClock(), list[int | None]()
    locked = in_turn(httpx.Response(423, headers={"Retry-After": "3"}))
    async with client_of(locked, clock, observe=seen.append) as (client, _):
        assert (await client.get("/items/1")).status_code == 423
        assert seen == [423] * 10
        assert 27 <= clock.monotonic() < 40


async def test_one_request_that_is_refused_while_others_are_answered_gets_its_refusal() -> None:
    clock, others = FakeClock(), list[int]()
    too_many_for_it = lambda request: too_many() if request.url.path == "/it" else {}  # noqa: E731
    async with client_of(CannedTransport(too_many_for_it), clock, tiers="") as (client, _):

        async def go_on() -> None:
            while True:
                others.append((await client.get("/others")).status_code)
                await clock.sleep(0.5)

        going_on = asyncio.create_task(go_on())
        assert (await client.get("/it")).status_code == 429
        going_on.cancel()
        await asyncio.wait([going_on])
    assert set(others) == {200}


async def test_the_sources_own_signal_counts_as_a_refusal() -> None:
    """A 200 with an error in its body; the hook gets a response that can be read."""
    clock = FakeClock()
    transport = in_turn({"error": "slow down"}, {"id": 1})
    is_limit = lambda response: "error" in response.json()  # noqa: E731
    async with client_of(transport, clock, is_rate_limited=is_limit) as (client, limiter):
        assert (await client.get("/")).json() == {"id": 1}
        assert 1 <= clock.monotonic() < 1.1
        assert (await limiter.usage()).hits == 1


class TickingClock(FakeClock):
    """No two looks at it are at the same moment."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic() + self.looks / 100_000


def standing(remaining: int, reset: int) -> dict[str, str]:
    return {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": str(reset)}


@pytest.mark.parametrize("status", [429, 200])
async def test_a_refusal_that_names_a_full_limit_shows_no_other(status: int) -> None:
    clock = TickingClock()
    answers = [
        *(httpx.Response(200, headers=standing(left, 10), text="fine") for left in (4, 3)),
        httpx.Response(status, headers=standing(0, 3), text="slow down"),
        httpx.Response(200, headers=standing(4, 10), text="fine"),
    ]
    slow_down = lambda response: response.text == "slow down"  # noqa: E731
    async with client_of(in_turn(*answers), clock, tiers="", is_rate_limited=slow_down) as (client, limiter):
        for _ in range(3):
            await client.get("/")
            await clock.sleep(0.6)
        usage = await limiter.usage()
    assert [(tier.amount, tier.seconds) for tier in usage.tiers] == [(5, 11)]  # ten may have been rounded down


async def test_a_longer_pause_than_the_patience_is_raised() -> None:
    clock = FakeClock()
    async with client_of(in_turn(too_many(retry_after="3600")), clock, patience=60) as (client, _):
        with pytest.raises(ApiBlocked, match="x: the API demands a pause until 2030-01-01 01:00:00 UTC"):
            await client.get("/")


async def test_a_body_that_cannot_be_sent_again_is_not() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    clock = FakeClock()
    transport = in_turn(too_many(retry_after="3"), {})
    async with client_of(transport, clock) as (client, _):
        assert (await client.post("/", content=body())).status_code == 429
        assert len(transport.requests) == 1
        assert (await client.post("/", content=b"again")).status_code == 200
        assert clock.monotonic() >= 3


async def test_during_a_pause_nothing_is_sent_and_one_request_goes_first_afterwards() -> None:
    clock = FakeClock()
    sent: list[float] = []

    def answer(_: httpx.Request) -> Answer:
        sent.append(round(clock.monotonic(), 2))
        return too_many(retry_after="5") if len(sent) == 3 else {}

    async with client_of(CannedTransport(answer), clock, "50/10 second") as (client, _), asyncio.TaskGroup() as group:
        for delay in range(8):

            async def get(delay: float) -> None:
                await clock.sleep(delay)
                await client.get("/")

            group.create_task(get(delay))
    assert sent[:3] == [0, 1, 2]
    assert 7 <= sent[3] < sent[4]
    assert len(sent) == 9


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


class Streamed(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


class Raw(httpx.AsyncBaseTransport):
    """Answers with a stream, as a network does."""

    def __init__(self, stream: httpx.AsyncByteStream, **headers: str) -> None:
        self.stream, self.headers = stream, {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self.headers, stream=self.stream)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (Raw(Streamed(*[b"x" * 400] * 3)), "longer than 1,000 bytes"),
        (Raw(Streamed(gzip.compress(b"x" * 100_000)), content_encoding="gzip"), "unpacks to more than 1,000 bytes"),
        (Raw(Streamed(b"[" * 101)), "nests more than 100 levels deep"),
        (Raw(Streamed(gzip.compress(b'{"a":' * 101)), content_encoding="gzip"), "nests more than 100 levels deep"),
    ],
)
async def test_bodies_are_capped_as_sent_and_as_unpacked_in_length_and_depth(inner: Raw, message: str) -> None:
    clock = FakeClock()
    async with client_of(inner, clock, largest_body=1000) as (client, limiter):
        with pytest.raises(BodyRefused, match=message):
            await client.get("/")
        await clock.sleep(10)
        assert (await limiter.usage()).tiers[0].used == 0  # it counted from its head, and no longer


@pytest.mark.parametrize("cut", [1, 8, 12])
async def test_a_packed_body_that_breaks_off_is_a_broken_connection(cut: int) -> None:
    inner = Raw(Streamed(gzip.compress(b'{"id": 1}' * 9)[:-cut]), content_encoding="gzip")
    async with client_of(inner, FakeClock()) as (client, _):
        with pytest.raises(httpx.ReadError, match="the packed body breaks off"):
            await client.get("/")


async def test_a_refusal_whose_body_cannot_be_unpacked_is_waited_out_all_the_same() -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if clock.monotonic() > 1:
                return httpx.Response(200, stream=Streamed(b"{}"))
            headers = {"Content-Encoding": "gzip", "Retry-After": "4"}
            return httpx.Response(429, headers=headers, stream=Streamed(b"no gzip"))

    clock = FakeClock()
    async with client_of(Broken(), clock) as (client, _):
        assert (await client.get("/")).json() == {}
        assert clock.monotonic() >= 4


async def test_a_packed_body_reaches_the_client_unpacked() -> None:
    """httpx would unpack it once more, and stop after its first member."""
    packed = gzip.compress(b'{"id": ') + gzip.compress(b"1}")
    inner = Raw(Streamed(packed[:30], packed[30:]), content_encoding="gzip", transfer_encoding="chunked")
    async with client_of(inner, FakeClock()) as (client, _):
        response = await client.get("/")
        assert response.json() == {"id": 1}
        assert {name: value for name, value in response.headers.items() if name != "date"} == {"content-length": "9"}


async def test_a_body_in_an_unknown_encoding_stays_as_it_is() -> None:
    async with client_of(Raw(Streamed(b"xyz"), content_encoding="br"), FakeClock()) as (client, _):
        async with client.stream("GET", "/") as response:
            assert b"".join([chunk async for chunk in response.aiter_raw()]) == b"xyz"
        assert response.headers["content-encoding"] == "br"


async def test_a_body_that_is_packed_three_times_is_refused() -> None:
    async with client_of(Raw(Streamed(b"x"), content_encoding="gzip, gzip, deflate"), FakeClock()) as (client, _):
        with pytest.raises(BodyRefused, match="packed 3 times, expected at most 2"):
            await client.get("/")


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
    """Frozen between the grant and the sending for more than half of the deadline: the permit may not last."""

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


async def test_a_chain_of_refusals_without_end_is_the_answer_after_the_longest_refusal() -> None:
    """Each of its pauses is short enough to wait for; all together they would last for ever."""
    clock = FakeClock()
    async with client_of(in_turn(httpx.Response(429)), clock, longest_refusal=600.0) as (client, _):
        assert (await client.get("/")).status_code == 429
    assert 600 < clock.monotonic() < 700
