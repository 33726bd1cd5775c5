"""When going on makes no sense: every one of the last items failed, all in the same way."""


class Breaker:
    """Counts different items in a row that failed with one reason; any success, or another reason, starts anew."""

    def __init__(self, threshold: int = 50) -> None:
        self.threshold = threshold
        self._reason = ""
        self._items: set[str] = set()

    def succeeded(self) -> None:
        """An item was imported."""
        self._items.clear()

    def failed(self, external_id: str, reason: str) -> str | None:
        """An item failed; returns why the import should end, or None while it should not."""
        if reason != self._reason:
            self._reason = reason
            self._items.clear()
        self._items.add(external_id)
        if len(self._items) < self.threshold:
            return None
        return f"the last {self.threshold} items all failed in the same way ({reason}); the others are left for a retry"
