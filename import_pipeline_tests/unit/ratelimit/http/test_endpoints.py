"""Limits per endpoint: one set applies to each request, and a refusal pauses the requests of its endpoint only."""

import asyncio
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from import_pipeline.ratelimit import Limiter, RateLimitedTransport
from import_pipeline.ratelimit.endpoints import open_endpoints, parse_limits
from import_pipeline.ratelimit.tiers import Tiers
from import_pipeline.ratelimit.usage import in_notation
from import_pipeline.testing import CannedTransport, FakeClock, MemoryPermits
from import_pipeline_tests.support.limited_client import too_many

pytestmark = pytest.mark.anyio
PATHS = ("/items/1", "/search", "/search/issues", "/users/7/orders")
LIMITS = "100/10 second; /search: 5/1 second; /users: 3/2 second"


class StrictApi:
    """Counts the requests of each endpoint in a moving window, and refuses those beyond its tiers."""

    def __init__(self, clock: FakeClock, limits: dict[str, Tiers]) -> None:
        self._clock, self._limits = clock, limits
        self._admitted: defaultdict[str, list[float]] = defaultdict(list)
        self.refused = 0
        self.seen: list[tuple[float, str, int]] = []

    def endpoint(self, path: str) -> str:
        """Return the endpoint, by the server's own reading of a path: its first segment."""
        first = "/" + path.strip("/").split("/")[0]
        return first if first in self._limits else ""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        now, endpoint = self._clock.monotonic(), self.endpoint(request.url.path)
        admitted = self._admitted[endpoint]
        for tier in self._limits[endpoint]:
            if sum(moment > now - tier.get_expiry() for moment in admitted) >= tier.amount:
                self.refused += 1
                self.seen.append((now, endpoint, 429))
                return too_many()
        admitted.append(now)
        self.seen.append((now, endpoint, 200))
        return httpx.Response(200, json={})


@asynccontextmanager
async def client_of(inner, clock, limits=LIMITS, permits=None):
    limiter_of = partial(Limiter, clock=clock, chance=lambda: 0.0, source="things")
    permits = permits or MemoryPermits(clock)
    async with open_endpoints("x", parse_limits(limits), limiter_of, lambda: permits) as endpoints:
        transport = RateLimitedTransport(inner, endpoints.limiter(""), endpoints=endpoints)
        async with httpx.AsyncClient(transport=transport, base_url="https://api.test") as client:
            yield client, endpoints


TIERS = st.sampled_from(["4/1 second", "2/1 second; 3/2 second", "7/3 second", "1/1 second"])


@given(paths=st.lists(st.sampled_from(PATHS), min_size=1, max_size=40), limits=st.tuples(TIERS, TIERS, TIERS))
@settings(max_examples=40, deadline=None)
def test_no_endpoint_of_a_strict_server_is_ever_asked_too_often(paths, limits):
    text = "; /users: ".join(["; /search: ".join(limits[:2]), limits[2]])

    async def run():
        clock = FakeClock()
        api = StrictApi(clock, parse_limits(text))
        async with client_of(CannedTransport(api), clock, text) as (client, endpoints):
            found = await asyncio.gather(*(client.get(path) for path in paths))
            usage = await endpoints.usage()
        assert ({each.status_code for each in found}, api.refused, usage.hits) == ({200}, 0, 0)
        assert Counter(each[1] for each in api.seen) == Counter(map(api.endpoint, paths))

    asyncio.run(run())


async def test_the_requests_of_another_endpoint_do_not_wait_for_a_full_one() -> None:
    clock = FakeClock()
    api = StrictApi(clock, parse_limits(LIMITS))
    async with client_of(CannedTransport(api), clock) as (client, _):
        await asyncio.gather(*(client.get(path) for path in ["/search"] * 11 + ["/items/1"] * 90))
    last = {endpoint: moment for moment, endpoint, _ in api.seen}
    assert (api.refused, last[""], 2.0 <= last["/search"] < 2.2) == (0, 0.0, True)


async def test_a_refusal_pauses_its_endpoint_only() -> None:
    clock, seen, began = FakeClock(), list[tuple[str, float]](), asyncio.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        is_first = request.url.path not in [path for path, _ in seen]
        seen.append((request.url.path, clock.monotonic()))
        began.set()
        is_refused = request.url.path == "/search" and is_first
        return too_many(retry_after="30") if is_refused else httpx.Response(200, json={})

    async with client_of(CannedTransport(answer), clock) as (client, endpoints):
        searching = asyncio.create_task(client.get("/search"))
        await began.wait()
        for _ in range(3):
            await client.get("/items/1")
        assert [path for path, _ in seen] == ["/search", *["/items/1"] * 3]
        assert max(moment for path, moment in seen if path == "/items/1") < 1
        paused = await endpoints.usage()
        assert (await searching).status_code == 200
        assert seen[-1] == ("/search", pytest.approx(30, abs=0.2))
    assert (paused.hits, paused.paused_until is not None) == (1, True)


async def test_all_processes_share_the_limits_of_an_endpoint() -> None:
    clock = FakeClock()
    api = StrictApi(clock, parse_limits(LIMITS))
    permits = MemoryPermits(clock)
    process = partial(client_of, CannedTransport(api), clock, permits=permits)
    async with process() as (one, _), process() as (other, _):
        await asyncio.gather(*(client.get("/search/x") for client in (one, other) for _ in range(10)))
    assert (api.refused, 3.0 <= clock.monotonic() < 3.3) == (0, True)


async def test_usage_names_the_tiers_of_each_endpoint() -> None:
    clock = FakeClock()
    async with client_of(CannedTransport(lambda _: httpx.Response(200, json={})), clock) as (client, endpoints):
        for path in ("/items/1", "/search", "/search"):
            await client.get(path)
        usage = await endpoints.usage()
    assert [(tier.endpoint, tier.amount, tier.used) for tier in usage.tiers] == [
        ("", 100, 1),
        ("/search", 5, 2),
        ("/users", 3, 0),
    ]
    assert in_notation(usage) == "100/10 second; /search: 5/1 second; /users: 3/2 second"
