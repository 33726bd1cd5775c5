"""What every process of a run of the limiter's benchmark is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Send = Callable[[str], Awaitable[int]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One process's part: which client sends what where."""

    client: str
    url: str
    tiers: str  #: what the client believes
    redis_url: str | None
    sqlite_path: str
    workers: int
