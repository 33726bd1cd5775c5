"""The work of a process that sends many requests through a limiter. It loads nothing else, so it starts soon."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, open_permits, parse_tiers
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections


async def send_all(
    url: str, redis_url: str | None, sqlite_path: str, tiers: str, requests: int, cost: int = 1
) -> list[int]:
    """Send requests with ten workers; return all statuses, refusals included."""
    statuses: list[int] = []
    permits = open_permits(redis_url, Path(sqlite_path))

    def observe(status: int | None) -> None:
        statuses.append(status or 0)

    async with Limiter("api", parse_tiers(tiers), permits) as limiter:
        transport = RateLimitedTransport(open_connections(limit=10), limiter, observe=observe, cost=lambda _: cost)
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            left = iter(range(requests))

            async def worker() -> None:
                for number in left:
                    await client.get(f"/api/items/{number % 9 + 1}")

            await asyncio.gather(*(worker() for _ in range(10)))
    return statuses


def send_all_here(*arguments: Any) -> list[int]:
    """Call `send_all` as the action of a process."""
    return asyncio.run(send_all(*arguments))
