"""The circuit breaker: hold requests back while nothing works, and end the import if that lasts too long.

The states are those of the pattern: closed (all requests pass), open (all wait), half-open (one request tries).
"""

from enum import Enum, auto

#: Different items in a row that failed and may work later: the API is in trouble, not the items.
MOST_IN_TROUBLE = 10
#: Different items in a row that were rejected for one reason: the source sends wrong requests.
MOST_REJECTED = 50
#: Different items in a row that were denied for one reason: the token or the address is wrong for all of them.
MOST_DENIED = 10
#: Different items in a row that are gone by their status alone: the address of details is wrong for all of them.
MOST_GONE = 10
#: Seconds for which rejections must last. A deployment may answer 404 to everything for a moment.
REJECTIONS_LAST_SECONDS = 10.0
IN_TROUBLE = "in trouble"


class CircuitState(Enum):
    """The state of a circuit."""

    CLOSED = auto()  #: all requests pass
    OPEN = auto()  #: all requests wait; the first of them tries once its delay is over
    HALF_OPEN = auto()  #: one request tries, all others wait


class CircuitBreaker:
    """Counts different items that failed in a row, and opens the circuit at a threshold. One success closes it.

    Failures that may pass count together; rejections count only with those of the same reason. The import ends once
    failures have continued for `patience_seconds` after the circuit opened. `address` and `answers` name for people
    what builds the requests of details, and what would say that an item is gone.
    """

    def __init__(
        self, patience_seconds: float, *, address: str = "detail_request", answers: str = "let classify return GONE"
    ) -> None:
        self.patience_seconds = patience_seconds
        self._address, self._answers = address, answers
        self._kind = ""
        self._items: set[str] = set()
        self._gone: set[str] = set()
        self._opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        """True while requests should be held back."""
        return self._opened_at is not None

    def succeeded(self) -> None:
        """Close the circuit: an item was imported."""
        self._gone.clear()
        self._close()

    def _close(self) -> None:
        self._items.clear()
        self._opened_at = None

    def failed(
        self, external_id: str, reason: str, now: float, *, may_pass: bool, is_denied: bool = False
    ) -> str | None:
        """Count an item that failed at `now` (monotonic seconds). Return the reason to end the import, or None."""
        kind = IN_TROUBLE if may_pass else reason
        if kind != self._kind:
            self._kind = kind
            self._close()
        self._items.add(external_id)
        if is_denied and len(self._items) >= MOST_DENIED:
            same = f"{len(self._items)} items in a row failed for the same reason"
            return f"{same} ({reason}); the others are left for a retry"
        if self._opened_at is None and len(self._items) >= (MOST_IN_TROUBLE if may_pass else MOST_REJECTED):
            self._opened_at = now
        patience = self.patience_seconds if may_pass else min(self.patience_seconds, REJECTIONS_LAST_SECONDS)
        if self._opened_at is None or now - self._opened_at < patience:
            return None
        return (
            f"the last {len(self._items)} items all failed, also after a wait of {now - self._opened_at:.0f} s "
            f"({reason}); the others are left for a retry"
        )

    def vanished(self, external_id: str, reason: str) -> str | None:
        """Count an item that is gone by its status alone. Return the reason to end the import, or None."""
        self._gone.add(external_id)
        if len(self._gone) < MOST_GONE:
            return None
        return self._doubt(f"{len(self._gone)} items in a row", reason)

    def none_accepted(self, count: int, reason: str) -> str | None:
        """Return the reason to end an import that found nothing but so many gone items, if no item was ever imported.

        One item alone may be gone.
        """
        return self._doubt(f"all {count} items", reason) if count > 1 else None

    def _doubt(self, items: str, reason: str) -> str:
        return (
            f"{items} are gone ({reason}), as with an address that does not exist: check {self._address}. None of them "
            f"is marked as gone. If they are gone, {self._answers}"
        )
