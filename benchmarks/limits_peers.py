"""Other libraries in the limiter benchmark, each used as in its own documentation. `make bench-install` installs them.

A library that cannot share its state between processes has separate state in each, as its users would have.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from limits import RateLimitItem, parse_many
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from benchmarks.limits_task import Send, Task
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections

TOO_MANY = 429


async def obey(client: httpx.AsyncClient, url: str) -> int:
    """Return the first status other than 429; wait before each retry as the response asks."""
    while True:
        response = await client.get(url)
        if response.status_code != TOO_MANY:
            return response.status_code
        await asyncio.sleep(wait_of(response))


def wait_of(response: httpx.Response) -> float:
    """Return the wait that a 429 asks for, in seconds."""
    return float(response.headers.get("retry-after", "1"))


def tiers_of(task: Task) -> list[RateLimitItem]:
    """Return the client's limits."""
    return list(parse_many(task.tiers))


@asynccontextmanager
async def sending(take: Callable[[], Awaitable[object]]) -> AsyncIterator[Send]:
    """Yield a client that awaits `take` before each request. It obeys 429s, too."""
    async with httpx.AsyncClient(transport=open_connections(limit=100)) as client:

        async def send(url: str) -> int:
            await take()
            return await obey(client, url)

        yield send


@asynccontextmanager
async def plain_limits(task: Task, _: dict[str, float]) -> AsyncIterator[Send]:
    """`limits`: the moving window of each tier in Redis (else in memory), tried in turn."""
    limiter = MovingWindowRateLimiter(storage_from_string(task.redis_url or "memory://"))
    tiers = tiers_of(task)

    def allowed() -> bool:
        there_is_room = all(limiter.test(tier, "benchmark") for tier in tiers)
        return there_is_room and all(limiter.hit(tier, "benchmark") for tier in tiers)

    async def take() -> None:
        while not allowed():  # noqa: ASYNC110  the library has no event for it
            await asyncio.sleep(0.01 + 0.01 * random.random())

    async with sending(take) as send:
        yield send


@asynccontextmanager
async def pyrate(task: Task, _: dict[str, float]) -> AsyncIterator[Send]:
    """pyrate-limiter with its bucket in memory."""
    from pyrate_limiter import InMemoryBucket, Limiter, Rate

    limiter = Limiter(InMemoryBucket([Rate(tier.amount, 1000 * tier.get_expiry()) for tier in tiers_of(task)]))
    async with sending(lambda: limiter.try_acquire_async("benchmark")) as send:
        yield send


@asynccontextmanager
async def pyrate_sqlite(task: Task, _: dict[str, float]) -> AsyncIterator[Send]:
    """pyrate-limiter with its bucket in a SQLite file that all processes share, with its file lock."""
    from pyrate_limiter import Limiter, Rate, SQLiteBucket

    rates = [Rate(tier.amount, 1000 * tier.get_expiry()) for tier in tiers_of(task)]
    path = str(Path(task.sqlite_path).with_name("pyrate.db"))
    limiter = Limiter(SQLiteBucket.init_from_file(rates, db_path=path, use_file_lock=True))
    async with sending(lambda: limiter.try_acquire_async("benchmark")) as send:
        yield send


@asynccontextmanager
async def aiolimiter(task: Task, _: dict[str, float]) -> AsyncIterator[Send]:
    """aiolimiter: one leaky bucket per tier, nested."""
    from aiolimiter import AsyncLimiter

    buckets = [AsyncLimiter(tier.amount, tier.get_expiry()) for tier in tiers_of(task)]

    async def take() -> None:
        async with AsyncExitStack() as stack:
            for bucket in buckets:
                await stack.enter_async_context(bucket)

    async with sending(take) as send:
        yield send


@asynccontextmanager
async def tenacity(_: Task, __: dict[str, float]) -> AsyncIterator[Send]:
    """No limiter: each worker repeats a refused request after the wait that the response asks for."""
    from tenacity import AsyncRetrying, RetryCallState, retry_if_result

    def retry_after(state: RetryCallState) -> float:
        return wait_of(state.outcome.result()) if state.outcome else 1.0

    def is_too_many(response: httpx.Response) -> bool:
        return response.status_code == TOO_MANY

    async with httpx.AsyncClient(transport=open_connections(limit=100)) as client:

        async def send(url: str) -> int:
            retrying = AsyncRetrying(retry=retry_if_result(is_too_many), wait=retry_after)
            response: httpx.Response = await retrying(client.get, url)
            return response.status_code

        yield send


@asynccontextmanager
async def pacer(task: Task, _: dict[str, float]) -> AsyncIterator[Send]:
    """Requests in sequence at the sustained rate less 1%; one process only."""
    rate = 0.99 * min(tier.amount / tier.get_expiry() for tier in tiers_of(task))
    due = time.monotonic()

    async def take() -> None:
        nonlocal due
        due = max(due, time.monotonic()) + 1 / rate
        await asyncio.sleep(due - time.monotonic())

    async with sending(take) as send:
        yield send


#: The libraries to compare with, by name.
PEERS = {
    "plain limits": plain_limits,
    "pyrate-limiter": pyrate,
    "pyrate-limiter in SQLite": pyrate_sqlite,
    "aiolimiter": aiolimiter,
    "tenacity": tenacity,
    "pacer": pacer,
}
