"""Opening the store of permits, and its address in the notation of `limits`."""

from pathlib import Path
from urllib.parse import quote

from import_pipeline.ratelimit.protocol import PermitStore
from import_pipeline.ratelimit.stores.redis import RedisPermits
from import_pipeline.ratelimit.stores.sqlite import SQLitePermits


def storage_uri(redis_url: str | None, sqlite_path: Path) -> str:
    """What `limits.storage.storage_from_string` opens the same store by."""
    return f"permits+{redis_url}" if redis_url else f"permits+sqlite://{quote(str(sqlite_path.absolute()))}"


def open_permits(redis_url: str | None, sqlite_path: Path) -> PermitStore:
    """The store in Redis where there is an address, else the embedded one. It connects at the first use."""
    uri = storage_uri(redis_url, sqlite_path)
    return RedisPermits(uri) if redis_url else SQLitePermits(uri)
