"""The events that cause a notice, the state of its delivery, and its retries. No I/O.

The delivery state is stored with the event, as in `failed 2 2030-06-01T10:00:00+00:00`; a compare-and-set on it ensures
that only one process sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Attempts in all, and the wait after the first failure; each later wait is twice as long.
MAX_TRIES = 5
FIRST_RETRY_AFTER = timedelta(minutes=1)
#: Time after which a process that was sending counts as dead. The notice may then be sent twice.
SENDER_TIMEOUT = timedelta(minutes=1)
#: Older events cause no notice.
MAX_AGE = timedelta(days=1)


class Occasion(StrEnum):
    """The occasions of a notice."""

    FAILED = "failed"  #: the import has failed
    INCOMPLETE = "incomplete"  #: it completed, but the list has more items than it could read
    BLOCKED = "blocked"  #: it waits: the API requested a long pause, or the rate-limit store does not answer


#: Event action -> occasion.
OCCASIONS: Mapping[str, Occasion] = {
    "import_failed": Occasion.FAILED,
    "import_incomplete": Occasion.INCOMPLETE,
    "import_paused": Occasion.BLOCKED,
}


class DeliveryState(StrEnum):
    """The delivery states of a notice."""

    NEW = "new"  #: no attempt yet
    SENDING = "sending"  #: a process is sending it, or died while it was
    SENT = "sent"  #: delivered
    FAILED = "failed"  #: the latest attempt failed; another follows unless all are used up


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A state, the attempts so far, and the time of the latest change."""

    state: DeliveryState = DeliveryState.NEW
    tries: int = 0
    at: datetime | None = None

    @classmethod
    def read(cls, text: str | None) -> "Delivery":
        """Parse the stored text; a new delivery if there is none."""
        if not text:
            return cls()
        state, tries, at = text.split(" ")
        return cls(state=DeliveryState(state), tries=int(tries), at=datetime.fromisoformat(at))

    def dump(self) -> str:
        """Return the text to store; empty for a new delivery."""
        return "" if self.at is None else f"{self.state} {self.tries} {self.at.isoformat()}"

    def is_due(self, now: datetime) -> bool:
        """Return True if an attempt is due."""
        if self.at is None:
            return True
        if self.state is DeliveryState.SENT or self.tries >= MAX_TRIES:
            return False
        wait = SENDER_TIMEOUT if self.state is DeliveryState.SENDING else FIRST_RETRY_AFTER * 2 ** (self.tries - 1)
        return now >= self.at + wait

    def begin(self, now: datetime) -> "Delivery":
        """Return the state at the start of an attempt."""
        return Delivery(state=DeliveryState.SENDING, tries=self.tries + 1, at=now)

    def end(self, now: datetime, *, delivered: bool) -> "Delivery":
        """Return the state at the end of the attempt."""
        return Delivery(state=DeliveryState.SENT if delivered else DeliveryState.FAILED, tries=self.tries, at=now)
