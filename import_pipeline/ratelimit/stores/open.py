"""Open a permit store by its address, in the notation of `limits`."""

from pathlib import Path
from urllib.parse import quote

from import_pipeline.ratelimit.protocol import PermitStore
from import_pipeline.ratelimit.stores.redis import RedisPermits
from import_pipeline.ratelimit.stores.sqlite import SQLitePermits


def storage_uri(redis_url: str | None, sqlite_path: Path) -> str:
    """Return the address for `limits.storage.storage_from_string`."""
    return f"permits+{redis_url}" if redis_url else f"permits+sqlite://{quote(str(sqlite_path.absolute()))}"


def open_permits(redis_url: str | None, sqlite_path: Path) -> PermitStore:
    """Return the store in Redis if there is an address, otherwise the embedded one. It connects at its first use."""
    uri = storage_uri(redis_url, sqlite_path)
    return RedisPermits(uri) if redis_url else SQLitePermits(uri)
