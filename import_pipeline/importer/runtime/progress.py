"""Progress of an import, reported to a listener as it happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredItem:
    """An item whose details are stored, and what that took; an item that the list brought whole took no try."""

    external_id: str
    tries: int = 0
    request_seconds: float | None = None  #: from its sending to the head of its answer
    http_status: int | None = None


class ProgressListener(Protocol):
    """Who wants to hear of progress while it happens. Called in the writer's thread, after the commit."""

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """A list page is stored."""
        ...

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Those items' details are stored."""
        ...


class NullListener:
    """The listener that nobody listens with."""

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """A list page is stored."""

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Those items' details are stored."""
