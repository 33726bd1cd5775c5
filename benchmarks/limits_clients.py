"""One process of the limiter's benchmark: ten workers that take turns at a shared number of requests.

Each client is a function that sends one request and returns its status; peers are written as their users would.
"""

import asyncio
import random
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path

import httpx
from limits import parse_many
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, open_permits, parse_tiers
from import_pipeline.ratelimit.connections import open_connections

Send = Callable[[str], Awaitable[int]]
TOO_MANY = 429


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every process of a run is given."""

    client: str
    url: str
    tiers: str  #: what the client believes
    redis_url: str | None
    sqlite_path: str
    workers: int


@asynccontextmanager
async def ours(task: Task, counters: dict[str, float]) -> AsyncIterator[Send]:
    """This project's limiter, as an httpx transport."""
    permits = open_permits(task.redis_url, Path(task.sqlite_path))
    async with Limiter("benchmark", parse_tiers(task.tiers), permits) as limiter:
        transport = RateLimitedTransport(open_connections(limit=100), limiter)
        async with httpx.AsyncClient(transport=transport) as client:

            async def send(url: str) -> int:
                return (await client.get(url)).status_code

            yield send
        counters["asks"] = limiter.asks


@asynccontextmanager
async def plain_limits(task: Task, _: dict[str, float]) -> AsyncIterator[Send]:
    """`limits` as its documentation shows it: every tier's moving window in Redis (else in memory), tried in turn."""
    limiter = MovingWindowRateLimiter(storage_from_string(task.redis_url or "memory://"))
    tiers = parse_many(task.tiers)

    def allowed() -> bool:
        there_is_room = all(limiter.test(tier, "benchmark") for tier in tiers)
        return there_is_room and all(limiter.hit(tier, "benchmark") for tier in tiers)

    async with httpx.AsyncClient(transport=open_connections(limit=100)) as client:

        async def send(url: str) -> int:
            while not allowed():  # noqa: ASYNC110  nobody would tell
                await asyncio.sleep(0.01 + 0.01 * random.random())
            return await obey(client, url)

        yield send


@asynccontextmanager
async def script(_: Task, __: dict[str, float]) -> AsyncIterator[Send]:
    """No limiter: every worker waits as long as the 429 that it got tells."""
    async with httpx.AsyncClient(transport=open_connections(limit=100)) as client:

        async def send(url: str) -> int:
            return await obey(client, url)

        yield send


@asynccontextmanager
async def pacer(task: Task, _: dict[str, float]) -> AsyncIterator[Send]:
    """One request after the other at the sustained rate, less a hundredth; for one process only."""
    rate = 0.99 * min(tier.amount / tier.get_expiry() for tier in parse_many(task.tiers))
    due = time.monotonic()
    async with httpx.AsyncClient(transport=open_connections(limit=100)) as client:

        async def send(url: str) -> int:
            nonlocal due
            due = max(due, time.monotonic()) + 1 / rate
            await asyncio.sleep(due - time.monotonic())
            return await obey(client, url)

        yield send


async def obey(client: httpx.AsyncClient, url: str) -> int:
    """The first answer that is no 429; each one is waited out as it asks."""
    while True:
        response = await client.get(url)
        if response.status_code != TOO_MANY:
            return response.status_code
        await asyncio.sleep(float(response.headers.get("retry-after", "1")))


CLIENTS = {"ours": ours, "plain limits": plain_limits, "script": script, "pacer": pacer}


async def work(task: Task, left: "Synchronized[int]", start: Barrier) -> dict[str, float]:
    """Send as long as there is something left to send."""
    counters: dict[str, float] = {"sent": 0}
    async with CLIENTS[task.client](task, counters) as send:

        async def worker() -> None:
            while take(left):
                await send(f"{task.url}/api/items/1")
                counters["sent"] += 1

        await asyncio.to_thread(start.wait)
        before = cpu_seconds()
        await asyncio.gather(*(worker() for _ in range(task.workers)))
        counters["cpu"] = cpu_seconds() - before
    return counters


def take(left: "Synchronized[int]") -> bool:
    """Claim one request of those left."""
    with left.get_lock():
        left.value -= 1
        return left.value >= 0


def cpu_seconds() -> float:
    """What this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def process(task: Task, left: "Synchronized[int]", start: Barrier, results: "Queue[dict[str, float]]") -> None:
    """A whole process."""
    results.put(asyncio.run(work(task, left, start)))
