"""One process of the limiter benchmark: ten workers that share a number of requests.

Each client is a function that sends one request and returns its status.
"""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path

import httpx

from benchmarks.limits_peers import PEERS
from benchmarks.limits_task import Send, Task
from import_pipeline.ratelimit import Limiter, RateLimitedTransport, open_permits, parse_tiers
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections


@asynccontextmanager
async def ours(task: Task, counters: dict[str, float]) -> AsyncIterator[Send]:
    """Yield this project's limiter as an httpx transport."""
    permits = open_permits(task.redis_url, Path(task.sqlite_path))
    async with Limiter("benchmark", parse_tiers(task.tiers), permits) as limiter:
        transport = RateLimitedTransport(open_connections(limit=100), limiter)
        async with httpx.AsyncClient(transport=transport) as client:

            async def send(url: str) -> int:
                return (await client.get(url)).status_code

            yield send
        counters["asks"] = limiter.exchanges


CLIENTS = {"ours": ours, **PEERS}


#: A soak run measures the memory after this many requests and at the end.
EARLY = 10_000


async def work(task: Task, left: "Synchronized[int]", start: Barrier) -> dict[str, float]:
    """Send requests until none is left."""
    counters: dict[str, float] = {"sent": 0}
    async with CLIENTS[task.client](task, counters) as send:

        async def worker() -> None:
            while take(left):
                await send(f"{task.url}/api/items/1")
                counters["sent"] += 1
                if counters["sent"] == EARLY:
                    counters["early_rss_mb"] = resident_mb()

        await asyncio.to_thread(start.wait)
        before = cpu_seconds()
        await asyncio.gather(*(worker() for _ in range(task.workers)))
        counters["cpu"] = cpu_seconds() - before
        counters["rss_mb"] = resident_mb()
    return counters


def take(left: "Synchronized[int]") -> bool:
    """Claim one of the remaining requests. Return False if none is left."""
    with left.get_lock():
        left.value -= 1
        return left.value >= 0


def cpu_seconds() -> float:
    """Return the CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_mb() -> float:
    """Return the resident memory of this process in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def process(task: Task, left: "Synchronized[int]", start: Barrier, results: "Queue[dict[str, float]]") -> None:
    """Run as a whole process."""
    results.put(asyncio.run(work(task, left, start)))
