"""A client behind a rate limiter, and the answers of its API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, parse_tiers
from import_pipeline.testing import Answer, CannedTransport, FakeClock, MemoryPermits


@asynccontextmanager
async def client_of(
    inner: httpx.AsyncBaseTransport,
    clock: FakeClock,
    tiers: str = "5/10 second",
    patience: float | None = None,
    **options: Any,
) -> AsyncIterator[tuple[httpx.AsyncClient, Limiter]]:
    wait = None if patience is None else timedelta(seconds=patience)
    permits = MemoryPermits(clock)
    async with Limiter("x", parse_tiers(tiers), permits, clock=clock, patience=wait, chance=lambda: 0.0) as limiter:
        transport = RateLimitedTransport(inner, limiter, **options)
        async with httpx.AsyncClient(transport=transport, base_url="https://api.test") as client:
            yield client, limiter


def in_turn(*answers: Answer) -> CannedTransport:
    """Return a transport that gives these answers in turn, and the last one to all further requests."""
    left = list(answers)
    return CannedTransport(lambda _: left.pop(0) if len(left) > 1 else left[0])


def too_many(**headers: str) -> httpx.Response:
    return httpx.Response(429, headers={name.replace("_", "-"): value for name, value in headers.items()})
