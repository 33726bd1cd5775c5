"""What is wrong with the limits' store although it answers, told with the import that depends on it."""

import asyncio

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.ratelimit.stores.redis_health import eviction, inspect_redis
from import_pipeline.settings import Settings

EVICTS = "limiter_store_evicts"


async def note_eviction(context: ImportContext, settings: Settings) -> None:
    """Note with the import that its Redis may throw permits out. `doctor` looks at more."""
    if not settings.redis_url or context.lease.shard is not None:
        return
    try:
        state = await asyncio.to_thread(inspect_redis, settings.redis_url)
    except LimiterUnavailable:  # who waits for permits meets it too
        return
    if state.evicts:
        await context.note(EVICTS, f"About the Redis of the limits: {eviction(state)}.")
