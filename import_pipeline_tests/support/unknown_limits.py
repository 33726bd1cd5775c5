"""APIs with limits that are not configured, and an import against them in virtual time."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

import httpx

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, parse_tiers
from import_pipeline.ratelimit.lanes import LISTS
from import_pipeline.ratelimit.protocol import PermitStore
from import_pipeline.testing import MemoryPermits
from import_pipeline_tests.support.virtual_time import Delay, LoopClock, SimulatedConnections, SimulatedServer


@dataclass
class Window:
    """A strict sliding window of a server; `amount` may change."""

    amount: int
    seconds: float
    log: deque[float] = field(default_factory=deque)

    def left(self, now: float) -> float:
        """Return the seconds until a place is free."""
        while self.log and self.log[0] <= now - self.seconds:
            self.log.popleft()
        if len(self.log) < self.amount:
            return 0.0
        return self.log[len(self.log) - self.amount] + self.seconds - now

    def wait(self, now: float) -> float | None:
        """Take a place and return None; if none is free, return the seconds until one is."""
        left = self.left(now)
        if not left:
            self.log.append(now)
        return left or None


@dataclass(kw_only=True)
class UnknownServer(SimulatedServer):
    """A server with a rule: `rule(path, now, in flight)` returns the seconds to wait, or None to admit.

    A request is in flight from its arrival until it was served, its own included; a refused one is served at once.
    """

    limits: str = "none"
    rule: Callable[[str, float, int], float | None]
    headers: Callable[[str, float], dict[str, str]] = lambda path, now: {}
    names_a_wait: bool = True
    serving: Delay = lambda: 0.0  #: seconds from the counting until a request is served
    in_flight: int = 0
    first: float | None = None
    last: float = 0.0

    async def answer_to(self, path: str) -> httpx.Response:
        """Count a request that is sent now."""
        time = asyncio.get_running_loop().time
        self.first = time() if self.first is None else self.first
        await asyncio.sleep(self.before())
        self.in_flight += 1
        wait = self.rule(path, time(), self.in_flight)
        headers = self.headers(path, time())
        if wait is None:
            self.admitted.append(time())
            await asyncio.sleep(self.serving())
        else:
            self.refused += 1
            if self.names_a_wait:
                headers["retry-after"] = str(int(-(-wait // 1)))
        self.in_flight -= 1
        await asyncio.sleep(self.after())
        self.last = time()
        headers["date"] = self.date(time())
        return httpx.Response(429 if wait is not None else 200, headers=headers, stream=httpx.ByteStream(b"{}"))


class Connections(SimulatedConnections):
    """One process's connections to that server."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace, server = request.extensions["trace"], self.server
        assert isinstance(server, UnknownServer)
        if self.free:
            self.free -= 1
        else:
            await trace("connection.connect_tcp.started", {})
        await trace("http11.send_request_headers.started", {})
        response = await server.answer_to(request.url.path)
        self.free += 1
        return response


async def import_all(
    server: UnknownServer,
    *,
    limits: str | Sequence[str] = "",
    details: int,
    pages: int = 0,
    processes: int = 1,
    workers: int = 10,
    seed: int = 1,
    permits: PermitStore | None = None,
) -> None:
    """Import in each process its share: list pages in sequence first, details by parallel workers."""
    clock, random = LoopClock(), Random(seed)
    store = permits or MemoryPermits(clock)
    left, listed = iter(range(details)), iter(range(pages))

    async def process(own: str) -> None:
        await asyncio.sleep(random.uniform(0, 0.01))
        limiter_of = partial(Limiter, "api", permits=store, clock=clock, chance=random.random)
        async with limiter_of(parse_tiers(own)) as limiter, limiter_of((), lane=LISTS) as lists:
            transport = RateLimitedTransport(Connections(server), limiter, first_lane=lists)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:

                async def worker() -> None:
                    for number in left:
                        await client.get(f"/things/{number}")

                async def lister() -> None:
                    for page in listed:
                        await client.get(f"/things?page={page}", extensions={"import_pipeline": {"first": True}})

                await asyncio.gather(lister(), *(worker() for _ in range(workers)))

    own = [limits] * processes if isinstance(limits, str) else limits
    await asyncio.gather(*map(process, own))


def seconds_taken(server: UnknownServer) -> float:
    """Return the seconds from the first request to the last answer."""
    assert server.first is not None
    return server.last - server.first
