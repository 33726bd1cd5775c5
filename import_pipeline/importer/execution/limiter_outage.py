"""Record with the import that the rate-limit store does not answer, or may lose permits."""

import asyncio
from datetime import datetime, timedelta

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.ratelimit.stores.redis_health import eviction, inspect_redis
from import_pipeline.settings import Settings
from import_pipeline.tracking import events
from import_pipeline.wording import capitalized

#: The event of a Redis that may evict permits.
EVICTS = "limiter_store_evicts"
#: Shorter outages are not reported; a single answer may get lost.
REPORTED_AFTER = timedelta(seconds=2)


class LimiterOutageReporter:
    """Records with the import since when the rate-limit store has not answered, and when it is back.

    If the database does not answer either, the next call records it.
    """

    def __init__(self, context: ImportContext) -> None:
        self._context = context
        self._since: datetime | None = None
        self._until: datetime | None = None  #: the store has answered since then; not reported yet
        self._is_reported = False

    async def failed(self, error: LimiterUnavailable) -> None:
        """Note that the store did not answer."""
        now = self._context.clock.now()
        self._since, self._until = self._since or now, None
        if self._is_reported or now - self._since < REPORTED_AFTER:
            return
        reason = f"the rate-limit store has not answered since {self._since:%H:%M:%S} UTC"
        message = f"{capitalized(reason)}; nothing is sent until it is back. {cause_of(error)}."
        await self._context.note(events.WAITS, message, reason=reason, until=None)
        self._is_reported = True

    async def recovered(self) -> None:
        """Note that the store has answered."""
        if self._is_reported and self._since is not None:
            self._until = self._until or self._context.clock.now()
            seconds = (self._until - self._since).total_seconds()
            await self._context.note("import_goes_on", f"The rate-limit store answers again after {seconds:.0f} s.")
        self._since, self._until, self._is_reported = None, None, False


def cause_of(error: LimiterUnavailable) -> str:
    """Return the store's own error, and what to do about it, as a sentence without a full stop."""
    return capitalized(error.said)


async def note_eviction(context: ImportContext, settings: Settings) -> None:
    """Record with the import that its Redis may evict permits. `doctor` checks more."""
    if not settings.redis_url or not context.lease.is_lead:
        return
    try:
        state = await asyncio.to_thread(inspect_redis, settings.redis_url)
    except LimiterUnavailable:  # tasks that wait for permits meet it too
        return
    if state.evicts:
        await context.note(EVICTS, f"The Redis of the rate limits: {eviction(state)}.")
