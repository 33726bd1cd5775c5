"""When nothing works, whatever is asked for: first everybody holds back, and in the end going on makes no sense."""

#: Different items in a row that failed and may work later: the API is in trouble, not they.
MOST_IN_TROUBLE = 10
#: Different items in a row that were rejected for one reason: we ask wrongly, or for what is not there.
MOST_REJECTED = 50
#: Different items in a row that we may not have, for one reason: our token, or where we look, is wrong for all.
MOST_DENIED = 10
#: How long rejections must go on. A deployment may answer 404 to everything for a moment.
REJECTIONS_LAST_SECONDS = 10.0
IN_TROUBLE = "in trouble"


class Breaker:
    """Counts different items in a row that failed without a success between them; it opens after so many.

    Failures that may pass count together, rejections only with those of the same reason. An open breaker says why to
    end when it has been open for `patience_seconds`; until then one item at a time is to try.
    """

    def __init__(self, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self._kind = ""
        self._items: set[str] = set()
        self._opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether everybody should hold back."""
        return self._opened_at is not None

    def succeeded(self) -> None:
        """An item was imported."""
        self._items.clear()
        self._opened_at = None

    def failed(
        self, external_id: str, reason: str, now: float, *, may_pass: bool, is_denied: bool = False
    ) -> str | None:
        """An item failed at that moment (seconds); returns why the import should end, or None while it should not."""
        kind = IN_TROUBLE if may_pass else reason
        if kind != self._kind:
            self._kind = kind
            self.succeeded()
        self._items.add(external_id)
        if is_denied and len(self._items) >= MOST_DENIED:
            return f"{len(self._items)} items in a row failed alike ({reason}); the others are left for a retry"
        if self._opened_at is None and len(self._items) >= (MOST_IN_TROUBLE if may_pass else MOST_REJECTED):
            self._opened_at = now
        patience = self.patience_seconds if may_pass else min(self.patience_seconds, REJECTIONS_LAST_SECONDS)
        if self._opened_at is None or now - self._opened_at < patience:
            return None
        return (
            f"the last {len(self._items)} items all failed, also after a wait of {now - self._opened_at:.0f} s "
            f"({reason}); the others are left for a retry"
        )
