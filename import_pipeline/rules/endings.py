"""The endings of the work on an import: the error that stopped it, as what must happen to the import. No I/O."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from import_pipeline.errors import (
    ApiBlocked,
    DatabaseUnavailable,
    ImportCancelled,
    ImportFailed,
    ImportInterrupted,
    LeaseLost,
    LimiterUnavailable,
    UsageError,
)


@dataclass(frozen=True)
class Completed:
    """All phases are done."""


@dataclass(frozen=True)
class Cancelled:
    """A person cancelled the import: it ends as cancelled."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """The import cannot succeed: it ends as failed, with its unfinished items pending."""

    error: ImportFailed | UsageError

    @property
    def reason(self) -> str:
        """The failure reason of the import."""
        return str(self.error)


@dataclass(frozen=True)
class Paused:
    """The API demands a pause: the import is released, and resumed afterwards."""

    until: datetime
    reason: str


@dataclass(frozen=True)
class StoreAway:
    """The rate-limit store does not answer: the import is released until it does."""

    error: LimiterUnavailable


@dataclass(frozen=True)
class Interrupted:
    """The process was stopped in an orderly way: the import is released, and its next resume does not count."""

    error: ImportInterrupted | KeyboardInterrupt | asyncio.CancelledError


@dataclass(frozen=True)
class BrokeOff:
    """An unforeseen error: the import is released, and its next resume counts."""

    error: BaseException


@dataclass(frozen=True)
class OwnershipLost:
    """Another worker has the import, or it has ended: this worker must not change it."""

    error: LeaseLost


@dataclass(frozen=True)
class DatabaseAway:
    """The tracking database does not answer: nothing can be recorded, so the lease runs out by itself."""

    error: DatabaseUnavailable


Ending = Completed | Cancelled | Failed | Paused | StoreAway | Interrupted | BrokeOff | OwnershipLost | DatabaseAway


def ending_of(error: BaseException) -> Ending:
    """Return the ending that an error means."""
    match error:
        case ImportCancelled():
            return Cancelled(str(error))
        case ImportFailed() | UsageError():
            return Failed(error)
        case ApiBlocked():
            return Paused(error.until, str(error))
        case LimiterUnavailable():
            return StoreAway(error)
        case ImportInterrupted() | KeyboardInterrupt() | asyncio.CancelledError():
            return Interrupted(error)
        case LeaseLost():
            return OwnershipLost(error)
        case DatabaseUnavailable():
            return DatabaseAway(error)
        case _:
            return BrokeOff(error)
