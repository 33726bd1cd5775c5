"""An outage of the rate-limit store: its duration, and the log lines about it."""

import logging
from dataclasses import dataclass

from import_pipeline.logs import report
from import_pipeline.ratelimit.protocol import StoreError
from import_pipeline.redaction import redact

#: Seconds; a single lost answer is not worth a log line.
REPORTED_AFTER = 2.0


@dataclass(slots=True)
class StoreOutage:
    """The outage that one API's limiter sees in one process. Moments are seconds on a monotonic clock."""

    api: str
    since: float | None = None  #: None while the store answers
    is_reported: bool = False

    def failed(self, error: StoreError, now: float) -> float:
        """Record a failed exchange; returns the seconds since the first one."""
        self.since = now if self.since is None else self.since
        if not self.is_reported and now - self.since >= REPORTED_AFTER:
            self.is_reported = True
            sentence = f"The rate-limit store of {self.api} does not answer, so nothing is sent until it does: {error}."
            report("store_silent", redact(sentence), level=logging.WARNING, api=self.api)
        return now - self.since

    def recovered(self, now: float) -> None:
        """Record that the store has answered."""
        if self.is_reported and self.since is not None:
            report("store_answers", f"The rate-limit store of {self.api} answers again after {now - self.since:.0f} s.")
        self.since, self.is_reported = None, False
