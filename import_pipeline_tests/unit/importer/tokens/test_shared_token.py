"""The shared token on a clock that tests move: when it is requested, by whom, and what happens if that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from import_pipeline.contracts import OAuth2
from import_pipeline.errors import LimiterUnavailable, TokenRefused
from import_pipeline.importer.tokens.bearer import BearerToken
from import_pipeline.importer.tokens.server import TokenServer, TokenUnavailable
from import_pipeline.importer.tokens.shared_token import SharedToken
from import_pipeline.ratelimit import Limiter, RateLimitedTransport, parse_tiers
from import_pipeline.ratelimit.protocol import StoreError
from import_pipeline.ratelimit.tokens.protocol import TokenStore
from import_pipeline.redaction import redact
from import_pipeline.testing import CannedTransport, FakeClock, MemoryPermits
from import_pipeline_tests.support.memory_tokens import MemoryTokens
from import_pipeline_tests.support.oauth_api import CLIENT, FIRST_REFRESH, SECRET, OAuthApi

pytestmark = pytest.mark.anyio
URL = httpx.URL("https://api.test/oauth/token")


class Process:
    """A process with the grant of the API; all of a test share the store."""

    def __init__(self, api: OAuthApi, store: TokenStore, clock: FakeClock, *, refresh: str = "", secret: str = SECRET):
        self.api, self.clock, self.seconds = api, clock, 0.0
        grant = OAuth2(str(URL), CLIENT, secret, refresh_token=refresh, timeout=5.0)
        server = TokenServer(grant=grant, url=URL, clock=clock, send=self.send)
        self.token = SharedToken(server, store, clock, lambda: 0.0)
        self.arrived = asyncio.Event()

    async def send(self, request: httpx.Request, seconds: float) -> httpx.Response:
        """Answer as the server does; the answer arrives after `self.seconds`."""
        response = self.api.answer(request)
        self.arrived.set()
        await self.clock.sleep(self.seconds)
        return response

    async def text(self) -> str:
        """Return the current token."""
        return (await self.token.current()).text


@asynccontextmanager
async def processes(
    number: int, api: OAuthApi, clock: FakeClock, store: TokenStore | None = None, refresh: str = ""
) -> AsyncIterator[list[Process]]:
    """Open that many processes."""
    shared = store or MemoryTokens(clock)
    found = [Process(api, shared, clock, refresh=refresh) for _ in range(number)]
    yield found
    for each in found:
        await each.token.aclose()


def api_on(clock: FakeClock, **options: object) -> OAuthApi:
    return OAuthApi(clock=clock.monotonic, **options)  # type: ignore[arg-type]


async def test_a_token_of_two_seconds_and_a_queue_of_three_cost_no_refusal() -> None:
    clock = FakeClock()
    api = api_on(clock, lifetime=2.0)
    async with (
        processes(1, api, clock) as [process],
        Limiter("api", parse_tiers("1/3 second"), MemoryPermits(clock), clock=clock) as limiter,
    ):
        transport = RateLimitedTransport(CannedTransport(api.answer), limiter)
        auth = BearerToken(process.token, "Authorization", "Bearer")
        for number in range(1, 6):
            request = httpx.Request("GET", f"https://api.test/api/items/{number}")
            request.extensions["import_pipeline"] = {"auth": auth}
            response = await transport.handle_async_request(request)
            assert response.status_code == 200
    assert (api.refusals, api.served, len(api.token_requests)) == (0, 5, 5)


async def test_a_slow_token_server_is_asked_once_by_four_processes() -> None:
    clock = FakeClock()
    api = api_on(clock)
    async with processes(4, api, clock) as all_of_them:
        for each in all_of_them:
            each.seconds = 3.0
        found = await asyncio.gather(*(each.text() for each in all_of_them))
    assert set(found) == {"access-1-f3b1c2"}
    assert len(api.token_requests) == 1


async def test_many_tasks_of_a_process_request_one_token() -> None:
    clock = FakeClock()
    api = api_on(clock)
    async with processes(1, api, clock) as [process]:
        assert set(await asyncio.gather(*(process.text() for _ in range(50)))) == {"access-1-f3b1c2"}
    assert len(api.token_requests) == 1


async def test_a_token_is_renewed_before_its_end_while_the_others_use_the_old_one() -> None:
    clock = FakeClock()
    api = api_on(clock, lifetime=600.0)
    async with processes(2, api, clock) as [one, two]:
        assert await one.text() == await two.text() == "access-1-f3b1c2"
        clock.advance(541)
        one.seconds = 4.0
        one.arrived.clear()
        renewal = asyncio.create_task(one.text())
        await one.arrived.wait()
        assert await two.text() == "access-1-f3b1c2"
        assert await renewal == "access-2-f3b1c2"
        assert await two.text() == "access-2-f3b1c2"
    assert len(api.token_requests) == 2


async def test_a_token_without_an_end_is_used_until_the_api_refuses_it() -> None:
    clock = FakeClock()
    api = api_on(clock, lifetime=None)
    async with processes(1, api, clock) as [process]:
        first = await process.token.current()
        clock.advance(10_000_000)
        assert await process.text() == first.text
        renewed = await process.token.renewed(first)
    assert renewed is not None
    assert renewed.text == "access-2-f3b1c2"


async def test_a_token_that_another_process_has_renewed_needs_no_request() -> None:
    clock = FakeClock()
    api = api_on(clock)
    async with processes(2, api, clock) as [one, two]:
        old = await one.token.current()
        assert await two.text() == old.text
        await one.token.renewed(old)
        renewed = await two.token.renewed(old)
    assert renewed is not None
    assert (renewed.text, len(api.token_requests)) == ("access-2-f3b1c2", 2)


async def test_an_api_that_refuses_every_token_causes_one_renewal_in_thirty_seconds() -> None:
    clock = FakeClock()
    api = api_on(clock)
    async with processes(1, api, clock) as [process]:
        token = await process.token.current()
        for _ in range(10):
            renewed = await process.token.renewed(token)
            token = renewed or token
        assert len(api.token_requests) == 2
        clock.advance(31)
        await process.token.renewed(token)
    assert len(api.token_requests) == 3


async def test_a_server_that_grants_the_same_token_again_is_not_asked_for_each_request() -> None:
    clock = FakeClock()
    asked = list[httpx.Request]()

    class SameToken(OAuthApi):
        def answer(self, request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return httpx.Response(200, json={"access_token": "same", "expires_in": 3600})

    async with processes(1, SameToken(), clock) as [process]:
        token = await process.token.current()
        renewed = await process.token.renewed(token)
        assert renewed is not None
        for _ in range(10):
            assert await process.text() == "same"
        assert await process.token.renewed(renewed) is None
    assert len(asked) == 2


async def test_a_cancelled_task_does_not_lose_the_rotated_refresh_token() -> None:
    clock = FakeClock()
    api = api_on(clock, rotation="strict")
    store = MemoryTokens(clock)
    async with processes(1, api, clock, store, FIRST_REFRESH) as [process]:
        process.seconds = 1.0
        task = asyncio.create_task(process.text())
        await process.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    api.revoke()
    async with processes(1, api, clock, store, FIRST_REFRESH) as [process]:
        first = await process.token.current()
        assert first.text == "access-1-f3b1c2"
        renewed = await process.token.renewed(first)
    assert renewed is not None
    assert [each["refresh_token"] for each in api.token_requests] == [FIRST_REFRESH, "refresh-1-9e8d7c"]


async def test_a_task_that_comes_after_a_cancelled_one_waits_for_its_request() -> None:
    clock = FakeClock()
    api = api_on(clock, rotation="strict")
    async with processes(1, api, clock, refresh=FIRST_REFRESH) as [process]:
        process.seconds = 1.0
        task = asyncio.create_task(process.text())
        await process.arrived.wait()
        task.cancel()
        assert await process.text() == "access-1-f3b1c2"
    assert len(api.token_requests) == 1


async def test_a_store_that_loses_everything_does_not_lose_the_refresh_token_of_a_living_process() -> None:
    clock = FakeClock()
    api, store = api_on(clock, lifetime=600.0, rotation="strict"), MemoryTokens(clock)
    async with processes(1, api, clock, store, FIRST_REFRESH) as [process]:
        await process.text()
        store.forget()
        clock.advance(599)
        assert await process.text() == "access-2-f3b1c2"
    assert [each["refresh_token"] for each in api.token_requests] == [FIRST_REFRESH, "refresh-1-9e8d7c"]


async def test_another_client_secret_opens_no_stored_token() -> None:
    clock = FakeClock()
    api, store = api_on(clock), MemoryTokens(clock)
    async with processes(1, api, clock, store) as [process]:
        await process.text()
    wrong = Process(api, store, clock, secret="another-secret")
    with pytest.raises(TokenRefused, match=r"invalid_client.*Check the client's id and secret"):
        await wrong.text()
    right = Process(api, store, clock)
    assert await right.text() == "access-1-f3b1c2"  # the stored token is still there


async def test_a_server_that_asks_for_a_wait_is_left_alone_by_all_processes() -> None:
    clock = FakeClock()
    api = api_on(clock, failures=[(429, {"Retry-After": "90"}, "")])
    async with processes(2, api, clock) as [one, two]:
        for process in (one, two, one):
            with pytest.raises(TokenUnavailable):
                await process.text()
        assert len(api.token_requests) == 1
        clock.advance(90)
        assert await one.text() == await two.text() == "access-1-f3b1c2"


class Failing(MemoryTokens):
    """A store that fails the next calls."""

    def __init__(self, clock: FakeClock, left: int, *, may_pass: bool = True) -> None:
        super().__init__(clock)
        self.left, self.may_pass = left, may_pass

    def put(self, *args: object, **kwargs: object) -> int | None:
        if self.left:
            self.left -= 1
            raise StoreError("it restarts", may_pass=self.may_pass)
        return super().put(*args, **kwargs)  # type: ignore[arg-type]


async def test_a_store_that_is_away_when_the_token_comes_is_waited_for() -> None:
    clock = FakeClock()
    api = api_on(clock, rotation="strict")
    store = Failing(clock, left=200)  # 100 s
    async with processes(1, api, clock, store, FIRST_REFRESH) as [process]:
        assert await process.text() == "access-1-f3b1c2"
    assert store.left == 0


async def test_a_store_that_a_person_has_to_repair_is_named_at_once() -> None:
    clock = FakeClock()
    api = api_on(clock)
    async with processes(1, api, clock, Failing(clock, left=1, may_pass=False)) as [process]:
        with pytest.raises(LimiterUnavailable, match="no access token can be shared: it restarts"):
            await process.text()


async def test_a_token_that_could_not_be_stored_is_used_by_no_process() -> None:
    clock = FakeClock()
    api = api_on(clock)
    async with processes(2, api, clock, Failing(clock, left=1, may_pass=False)) as [one, two]:
        with pytest.raises(LimiterUnavailable):
            await one.text()
        assert await one.text() == await two.text() == "access-2-f3b1c2"


async def test_tokens_are_masked_while_they_may_be_used_and_old_ones_forgotten() -> None:
    clock = FakeClock()
    api = api_on(clock, lifetime=2.0, rotation="strict")
    seen = list[str]()
    async with processes(1, api, clock, refresh=FIRST_REFRESH) as [process]:
        for _ in range(100):
            seen.append(await process.text())
            assert redact(f"sent {seen[-1]}, {api._refresh}") == "sent ***, ***"
            clock.advance(2)
        assert redact(f"with {FIRST_REFRESH} and {SECRET}") == "with *** and ***"
    assert redact(seen[0]) == seen[0]
