"""The store of the limits does not answer: since when, and whether that has been said."""

import logging
from dataclasses import dataclass

from import_pipeline.logs import report
from import_pipeline.ratelimit.protocol import StoreError
from import_pipeline.redaction import redact

#: Seconds; an answer that is lost now and then needs no word.
TOLD_AFTER = 2.0


@dataclass(slots=True)
class Outage:
    """Of one api's limiter in one process. Moments are seconds on a clock that never goes back."""

    api: str
    since: float | None = None  #: None while the store answers
    is_told: bool = False

    def failed(self, error: StoreError, now: float) -> float:
        """It was asked in vain; returns for how many seconds so far."""
        self.since = now if self.since is None else self.since
        if not self.is_told and now - self.since >= TOLD_AFTER:
            self.is_told = True
            sentence = f"The limits of {self.api} cannot be shared, so nothing is sent until they can: {error}."
            report("store_silent", redact(sentence), level=logging.WARNING, api=self.api)
        return now - self.since

    def answered(self, now: float) -> None:
        """It was asked, and has answered."""
        if self.is_told and self.since is not None:
            report("store_answers", f"The limits of {self.api} are shared again after {now - self.since:.0f} s.")
        self.since, self.is_told = None, False
