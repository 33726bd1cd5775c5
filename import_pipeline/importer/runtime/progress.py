"""Progress of an import, reported to a listener as it happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredItem:
    """An item whose details are stored, and its requests. An item that came whole from the list has no tries."""

    external_id: str
    tries: int = 0
    request_seconds: float | None = None  #: from sending to the response headers
    http_status: int | None = None


class ProgressListener(Protocol):
    """Receives progress of an import. Called in the writer's thread, after the commit."""

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Receive the ids of a stored list page."""
        ...

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Receive items whose details are stored."""
        ...


class NullListener:
    """A listener that does nothing."""

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Receive the ids of a stored list page."""

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Receive items whose details are stored."""
