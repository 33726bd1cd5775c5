"""Open the store of shared tokens: the one that has the rate limits."""

from pathlib import Path

from import_pipeline.ratelimit.tokens.protocol import TokenStore
from import_pipeline.ratelimit.tokens.redis import RedisTokens
from import_pipeline.ratelimit.tokens.sqlite import SQLiteTokens


def open_tokens(redis_url: str | None, sqlite_path: Path) -> TokenStore:
    """Return the store in Redis if there is an address, otherwise the embedded one. It connects at its first use."""
    return RedisTokens(redis_url) if redis_url else SQLiteTokens(sqlite_path)
