"""The task that each process of the limiter benchmark receives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Send = Callable[[str], Awaitable[int]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One process's part of a run: client, server, limits and store."""

    client: str
    url: str
    tiers: str  #: the client's limits
    redis_url: str | None
    sqlite_path: str
    workers: int
