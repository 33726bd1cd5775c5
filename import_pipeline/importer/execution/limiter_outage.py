"""The store of the limits does not answer: nothing is sent, and whoever looks at the import reads why."""

import asyncio
from datetime import datetime, timedelta

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.ratelimit.stores.redis_health import eviction, inspect_redis
from import_pipeline.settings import Settings
from import_pipeline.tracking import events

#: The event of a Redis that may evict permits.
EVICTS = "limiter_store_evicts"
#: It is told when it has lasted so long; an answer that is lost now and then needs no word.
REPORTED_AFTER = timedelta(seconds=2)


class LimiterOutageReporter:
    """Tells with the import since when the store has been silent, and when it is back.

    What cannot be told, since the database does not answer either, is told at the next call.
    """

    def __init__(self, context: ImportContext) -> None:
        self._context = context
        self._since: datetime | None = None
        self._until: datetime | None = None  #: it has answered since then, which is yet to be told
        self._is_reported = False

    async def failed(self, error: LimiterUnavailable) -> None:
        """The store was asked and did not answer."""
        now = self._context.clock.now()
        self._since, self._until = self._since or now, None
        if self._is_reported or now - self._since < REPORTED_AFTER:
            return
        reason = f"the store of the limits does not answer since {self._since:%H:%M:%S} UTC"
        message = f"T{reason[1:]}; nothing is sent until it is back. {cause_of(error)}."
        await self._context.note(events.WAITS, message, reason=reason, until=None)
        self._is_reported = True

    async def recovered(self) -> None:
        """The store was asked and has answered."""
        if self._is_reported and self._since is not None:
            self._until = self._until or self._context.clock.now()
            seconds = (self._until - self._since).total_seconds()
            await self._context.note("import_goes_on", f"The store of the limits answers again after {seconds:.0f} s.")
        self._since, self._until, self._is_reported = None, None, False


def cause_of(error: LimiterUnavailable) -> str:
    """What the store itself said, and how to mend it."""
    return error.said[:1].upper() + error.said[1:]


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
