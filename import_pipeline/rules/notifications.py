"""Which events people are told of, and when it is tried again. No I/O.

How far the telling of an event is stands with the event as a mark, `failed 2 2030-06-01T10:00:00+00:00` say: the mark
that was seen guards the next one, so that of several processes one tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: How often it is tried in all, and how long after a first failure again; then twice as long each time.
MAX_TRIES = 5
FIRST_RETRY_AFTER = timedelta(minutes=1)
#: After so long without a word a process that was telling is taken to be dead. The event may be told twice then.
SENDER_TIMEOUT = timedelta(minutes=1)
#: What is older is history, not news.
MAX_AGE = timedelta(days=1)


class Occasion(StrEnum):
    """What people are told of."""

    FAILED = "failed"  #: the import has failed
    INCOMPLETE = "incomplete"  #: it completed, but the list had more than it could see
    BLOCKED = "blocked"  #: it waits for long: the API asked for a pause, or the store of the limits is away


#: The event's action -> what it is an occasion of.
OCCASIONS: Mapping[str, Occasion] = {
    "import_failed": Occasion.FAILED,
    "import_incomplete": Occasion.INCOMPLETE,
    "import_paused": Occasion.BLOCKED,
}


class DeliveryState(StrEnum):
    """How far the telling of an event is."""

    NEW = "new"  #: nobody has begun
    SENDING = "sending"  #: a process is at it, or died at it
    SENT = "sent"  #: done
    FAILED = "failed"  #: it could not be told; a later try may do, unless all are used up


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A state, the tries so far, and since when."""

    state: DeliveryState = DeliveryState.NEW
    tries: int = 0
    at: datetime | None = None

    @classmethod
    def read(cls, text: str | None) -> "Delivery":
        """From what stands with the event."""
        if not text:
            return cls()
        state, tries, at = text.split(" ")
        return cls(state=DeliveryState(state), tries=int(tries), at=datetime.fromisoformat(at))

    def dump(self) -> str:
        """As it stands with the event; empty for a new one."""
        return "" if self.at is None else f"{self.state} {self.tries} {self.at.isoformat()}"

    def is_due(self, now: datetime) -> bool:
        """Whether a try is to be made now."""
        if self.at is None:
            return True
        if self.state is DeliveryState.SENT or self.tries >= MAX_TRIES:
            return False
        wait = SENDER_TIMEOUT if self.state is DeliveryState.SENDING else FIRST_RETRY_AFTER * 2 ** (self.tries - 1)
        return now >= self.at + wait

    def begin(self, now: datetime) -> "Delivery":
        """A try begins."""
        return Delivery(state=DeliveryState.SENDING, tries=self.tries + 1, at=now)

    def end(self, now: datetime, *, delivered: bool) -> "Delivery":
        """The try has ended."""
        return Delivery(state=DeliveryState.SENT if delivered else DeliveryState.FAILED, tries=self.tries, at=now)
