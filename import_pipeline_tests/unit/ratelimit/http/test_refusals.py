"""Refused requests: the transport waits and sends them again, or returns the refusal."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from import_pipeline.errors import ApiBlocked
from import_pipeline.testing import Answer, CannedTransport, FakeClock
from import_pipeline_tests.support.limited_client import client_of, in_turn, too_many

pytestmark = pytest.mark.anyio


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
        *((httpx.Response(status, headers={"Retry-After": "4"}), 4) for status in (403, 409, 420, 423, 430)),
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
    """An item stays locked: after ten waits, the caller gets the answer."""
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

        async def send_others() -> None:
            while True:
                others.append((await client.get("/others")).status_code)
                await clock.sleep(0.5)

        sending = asyncio.create_task(send_others())
        assert (await client.get("/it")).status_code == 429
        sending.cancel()
        await asyncio.wait([sending])
    assert set(others) == {200}


async def test_the_sources_own_signal_counts_as_a_refusal() -> None:
    """The answer is a 200 with an error in its body; the hook can read the response."""
    clock = FakeClock()
    transport = in_turn({"error": "slow down"}, {"id": 1})
    is_limit = lambda response: "error" in response.json()  # noqa: E731
    async with client_of(transport, clock, is_rate_limited=is_limit) as (client, limiter):
        assert (await client.get("/")).json() == {"id": 1}
        assert 1 <= clock.monotonic() < 1.1
        assert (await limiter.usage()).hits == 1


class TickingClock(FakeClock):
    """A clock that shows another moment at every reading."""

    readings = 0

    def monotonic(self) -> float:
        self.readings += 1
        return super().monotonic() + self.readings / 100_000


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


async def test_a_chain_of_refusals_without_end_is_the_answer_after_the_longest_refusal() -> None:
    """Each pause is short enough to wait for; together they would never end."""
    clock = FakeClock()
    async with client_of(in_turn(httpx.Response(429)), clock, longest_refusal=600.0) as (client, _):
        assert (await client.get("/")).status_code == 429
    assert 600 < clock.monotonic() < 700
