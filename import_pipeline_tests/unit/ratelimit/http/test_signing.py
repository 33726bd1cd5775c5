"""Signing of requests: each flow of an httpx.Auth starts when the permit is there, and its requests take permits."""

from collections.abc import Generator

import httpx
import pytest

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, parse_tiers
from import_pipeline.testing import CannedTransport, FakeClock, MemoryPermits

pytestmark = pytest.mark.anyio
URL = "https://api.test/things"
TOKENS = "https://login.test/token"


class TimeStamp(httpx.Auth):
    """Signs a request with the time of its signature."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["X-Time"] = f"{self.clock.monotonic():g}"
        yield request


class Tokens(httpx.Auth):
    """Requests a token that lives two seconds whenever it has none; the answer's body is the token."""

    requires_response_body = True

    def __init__(self, clock: FakeClock, address: str = TOKENS) -> None:
        self.clock, self.address = clock, address
        self.token, self.since = "", -100.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self.clock.monotonic() - self.since >= 2:
            answer = yield httpx.Request("POST", self.address)
            self.token, self.since = answer.text, self.clock.monotonic()
        request.headers["X-Token"] = self.token
        response = yield request
        if response.status_code == 401:
            answer = yield httpx.Request("POST", self.address)
            self.token, self.since = answer.text, self.clock.monotonic()
            request.headers["X-Token"] = self.token
            yield request


class Server(CannedTransport):
    """Refuses tokens and time stamps that are older than two seconds, or that it has revoked."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(self.answer)
        self.clock, self.revoked = clock, set[str]()
        self.log = list[tuple[str, int]]()

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            response = httpx.Response(200, text=f"{self.clock.monotonic():g}")
        else:
            text = request.headers.get("X-Token") or request.headers["X-Time"]
            is_good = self.clock.monotonic() - float(text) < 2 and text not in self.revoked
            response = httpx.Response(200 if is_good else 401)
        self.log.append((request.url.path, response.status_code))
        return response


async def sent(
    server: CannedTransport, clock: FakeClock, auth: httpx.Auth, *, times: int, tiers: str = "1/3 second"
) -> list[httpx.Response]:
    """Send requests one after the other; return their responses."""
    async with Limiter("api", parse_tiers(tiers), MemoryPermits(clock), clock=clock) as limiter:
        transport = RateLimitedTransport(server, limiter)
        responses = []
        for _ in range(times):
            request = httpx.Request("GET", URL, headers={"X-Mine": "1"})
            request.extensions["import_pipeline"] = {
                "auth": auth,
                "is_free": lambda wanted: wanted.url.host != "api.test",
            }
            responses.append(await transport.handle_async_request(request))
            assert dict(request.headers) == {"host": "api.test", "x-mine": "1"}  # credentials are on copies only
        return responses


async def test_a_time_stamp_is_that_of_the_sending_and_not_of_the_queue() -> None:
    clock = FakeClock()
    server = Server(clock)
    responses = await sent(server, clock, TimeStamp(clock), times=4)
    assert [response.status_code for response in responses] == [200] * 4
    assert clock.monotonic() > 8.9


async def test_a_token_that_lives_two_seconds_with_a_queue_of_three_costs_no_refusal() -> None:
    clock = FakeClock()
    server = Server(clock)
    await sent(server, clock, Tokens(clock), times=4)
    assert server.log == [("/token", 200), ("/things", 200)] * 4


async def test_a_token_of_the_own_origin_takes_a_permit_of_its_own() -> None:
    clock = FakeClock()
    server = Server(clock)
    await sent(server, clock, Tokens(clock, "https://api.test/token"), times=1, tiers="1/1 second")
    assert server.log == [("/token", 200), ("/things", 200)]
    assert clock.monotonic() > 0.9


async def test_a_refused_token_is_fetched_again_after_the_wait_for_the_next_permit() -> None:
    clock = FakeClock()
    server = Server(clock)
    server.revoked.add("0")
    [response] = await sent(server, clock, Tokens(clock), times=1)
    assert response.status_code == 200
    assert server.log == [("/token", 200), ("/things", 401), ("/token", 200), ("/things", 200)]


async def test_a_request_that_the_limit_refuses_is_signed_anew() -> None:
    clock = FakeClock()
    seen = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["X-Time"])
        return httpx.Response(429 if len(seen) == 1 else 200, headers={"Retry-After": "5"})

    [response] = await sent(CannedTransport(answer), clock, TimeStamp(clock), times=1, tiers="10/1 second")
    assert response.status_code == 200
    assert [float(each) for each in seen] == [0.0, pytest.approx(clock.monotonic(), abs=0.5)]


async def test_a_flow_that_fails_returns_its_permit() -> None:
    class Failing(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            raise httpx.RequestError("no token")
            yield request

    clock = FakeClock()
    server = Server(clock)
    async with Limiter("api", parse_tiers("1/3 second"), MemoryPermits(clock), clock=clock) as limiter:
        transport = RateLimitedTransport(server, limiter)
        failing, working = (
            httpx.Request("GET", URL, extensions={"import_pipeline": {"auth": auth}})
            for auth in (Failing(), TimeStamp(clock))
        )
        with pytest.raises(httpx.RequestError, match="no token"):
            await transport.handle_async_request(failing)
        await transport.handle_async_request(working)
    assert (server.log, clock.monotonic() < 1) == ([("/things", 200)], True)


async def test_digest_authentication_works_through_permits() -> None:
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
    seen = list[bool]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append("Authorization" in request.headers)
        return httpx.Response(200) if seen[-1] else httpx.Response(401, headers={"WWW-Authenticate": challenge})

    clock = FakeClock()
    responses = await sent(CannedTransport(answer), clock, httpx.DigestAuth("u", "p"), times=2)
    assert [response.status_code for response in responses] == [200, 200]
    assert seen == [False, True, True]


async def test_a_signature_that_takes_half_of_the_timeout_is_sent_with_the_next_permit() -> None:
    class Slow(TimeStamp):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            self.clock.advance(20)
            yield from super().auth_flow(request)

    clock = FakeClock()
    server = CannedTransport(lambda _: httpx.Response(200))
    await sent(server, clock, Slow(clock), times=1)
    assert [request.headers["X-Time"] for request in server.requests] == ["20"]
