"""Limiters on a fake clock with permits in memory, and a task that takes a permit."""

from datetime import timedelta

from limits import RateLimitItem

from import_pipeline.ratelimit import Limiter, Permits, parse_tiers
from import_pipeline.testing import FakeClock, MemoryPermits

TIERS = parse_tiers("3/10 second")


def limiter_on(
    clock: FakeClock,
    permits: Permits | None = None,
    tiers: tuple[RateLimitItem, ...] = TIERS,
    patience: timedelta | None = None,
    source: str = "",
) -> Limiter:
    store = permits or MemoryPermits(clock)
    return Limiter("x", tiers, store, clock=clock, patience=patience, chance=lambda: 0.0, source=source)


async def ask_and_answer(limiter: Limiter, log: list[float], latency: float = 0.5, *, first: bool = False) -> None:
    permit = await limiter.acquire(first=first)
    log.append(round(limiter.clock.monotonic(), 2))
    await limiter.clock.sleep(latency)
    limiter.answered(permit)
