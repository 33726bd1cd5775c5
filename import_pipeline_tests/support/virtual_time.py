"""Simulated limiter processes and a simulated server on an event loop in virtual time."""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random
from typing import Any, TypeVar

import httpx
import pytest

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, parse_tiers
from import_pipeline.rules.forecast import minimum_seconds
from import_pipeline.testing import MemoryPermits
from source_api.middleware import rate_headers
from source_api.throttle import Throttle, WindowKind
from source_api.throttle import parse_tiers as server_tiers

Result = TypeVar("Result")


def seeds(count: int, *, by_day: int) -> list[Any]:
    """Return that many values of a parameter `seed`, of which tests by day get the first ones."""
    return [pytest.param(each, marks=pytest.mark.nightly if each >= by_day else ()) for each in range(count)]


class InstantSelector(selectors.SelectSelector):
    """A selector that does not wait: it advances the virtual time instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits, and nothing will happen")
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, for programs without I/O and threads."""

    def __init__(self) -> None:
        self._leaping = InstantSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


def run_in_virtual_time(program: Coroutine[Any, Any, Result]) -> Result:
    """Run a program in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(program)


#: 2030-01-01, in seconds since 1970
YEAR_2030 = 1_893_456_000.0


@dataclass(frozen=True)
class LoopClock:
    """The clock of the running loop."""

    epoch: float = YEAR_2030  #: the wall clock when the loop's time was 0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.epoch + self.monotonic(), tz=UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


Delay = Callable[[], float]
Reset = Callable[[float, float], str]


@dataclass(kw_only=True)
class SimulatedServer:
    """A server that counts strictly and sends limit headers as the demo API does; Reset can be changed."""

    limits: str
    before: Delay  #: seconds from the sending to the counting
    after: Delay  #: seconds from the counting to the answer's head
    sends_limits: bool = True
    reset: Reset = lambda left, now: str(math.ceil(now + left))  #: its Reset, by seconds left and its clock
    kind: WindowKind = WindowKind.SLIDING
    epoch: float = YEAR_2030  #: its wall clock when the loop's time was 0
    date_turns: float = 0.0  #: its first reading of the clock for Date
    date_every: float = 0.0  #: seconds between those readings; 0: one per answer
    dies_at: float = math.inf  #: connections break at that moment
    is_back_at: float = math.inf  #: until then they are refused
    admitted: list[float] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        self._throttle = Throttle(server_tiers(self.limits), self.kind)

    async def answer(self) -> httpx.Response:
        """Count a request that is sent now."""
        time = asyncio.get_running_loop().time
        await asyncio.sleep(self.before())
        now = time()
        decision = self._throttle.arrive("client", now)
        headers = {}
        if self.sends_limits and decision.status is not None:
            limits = rate_headers(decision.status, epoch=self.epoch + now)
            headers |= {name.decode(): value.decode() for name, value in limits}
            headers["x-ratelimit-reset"] = self.reset(round(decision.status.reset, 6), self.epoch + now)
        if decision.admitted:
            self.admitted.append(now)
        else:
            self.refused += 1
            headers["retry-after"] = str(decision.retry_after)
        await asyncio.sleep(self.after())
        headers["date"] = self.date(time())
        return httpx.Response(200 if decision.admitted else 429, headers=headers, stream=httpx.ByteStream(b"{}"))

    def date(self, now: float) -> str:
        """Return the value of its Date header."""
        looked = now - (now - self.date_turns) % self.date_every if self.date_every else now
        return format_datetime(datetime.fromtimestamp(int(self.epoch + looked), tz=UTC), usegmt=True)


@dataclass
class SimulatedConnections(httpx.AsyncBaseTransport):
    """One process's connections to that server: opened when none is free, kept, and traced as httpx traces its own."""

    server: SimulatedServer
    free: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace, now, server = request.extensions["trace"], asyncio.get_running_loop().time(), self.server
        if server.dies_at <= now < server.is_back_at:
            self.free = 0
            raise httpx.ConnectError("refused")
        if self.free:
            self.free -= 1
        else:
            await trace("connection.connect_tcp.started", {})
        await trace("http11.send_request_headers.started", {})
        try:
            async with asyncio.timeout_at(server.dies_at if now < server.dies_at else None):
                response = await server.answer()
        except TimeoutError as error:
            raise httpx.ReadError("reset") from error
        self.free += 1
        return response


AGAIN = 0.25  #: seconds between tries without an answer


async def send_until_answered(client: httpx.AsyncClient) -> None:
    """Send a request until it is answered."""
    while True:
        try:
            await client.get("http://api.test/")
        except httpx.NetworkError:
            await asyncio.sleep(AGAIN)
        else:
            return


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """The result of a simulated run."""

    ratio: float  #: from the first to the last request that was let in, to the least possible
    refused: int
    found: tuple[tuple[int, int], ...]  #: tiers that were learned at its end, in seconds


async def send_all(
    server: SimulatedServer,
    random: Random,
    *,
    limits: str | Sequence[str],
    requests: int,
    processes: int = 1,
    workers: int = 10,
    epoch: float = YEAR_2030,
) -> SimulationResult:
    """Send requests from several processes with several workers each; all start within 50 ms.

    Each may have limits of its own.
    """
    clock, left = LoopClock(epoch), iter(range(requests))
    permits = MemoryPermits(clock)

    async def process(limits: str) -> tuple[tuple[int, int], ...]:
        await asyncio.sleep(random.uniform(0, 0.05))
        async with Limiter("api", parse_tiers(limits), permits, clock=clock, chance=random.random) as limiter:
            transport = RateLimitedTransport(SimulatedConnections(server), limiter)
            async with httpx.AsyncClient(transport=transport) as client:

                async def worker() -> None:
                    for _ in left:
                        await send_until_answered(client)

                await asyncio.gather(*(worker() for _ in range(workers)))
            usage = await limiter.usage()
            return tuple((tier.amount, tier.seconds) for tier in usage.tiers)

    own = [limits] * processes if isinstance(limits, str) else limits
    found = await asyncio.gather(*map(process, own))
    least = minimum_seconds(requests, parse_tiers(server.limits))
    return SimulationResult(
        ratio=(server.admitted[-1] - server.admitted[0]) / least, refused=server.refused, found=found[-1]
    )
