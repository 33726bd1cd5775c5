"""The store of the limits does not answer: nothing is sent, and whoever looks at the import reads why."""

from datetime import datetime, timedelta

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.tracking import events

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
