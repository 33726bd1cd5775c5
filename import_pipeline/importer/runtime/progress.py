"""Progress of an import, reported to a listener as it happens."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from import_pipeline.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredItem:
    """An item that is done, and its requests. An item that came whole from the list has no tries."""

    external_id: str
    tries: int = 0
    request_seconds: float | None = None  #: from sending to the response headers
    http_status: int | None = None
    is_left_out: bool = False  #: it is skipped or gone: its details are not stored


class RetryWait:
    """The seconds in which this worker only waited for the next tries of failed items: no request was due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = 0.0
        self._began: float | None = None

    @property
    def seconds(self) -> float:
        """The seconds so far, a wait in progress included."""
        return self._ended + (0.0 if self._began is None else self._clock.monotonic() - self._began)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the block as a wait."""
        self._began = self._clock.monotonic()
        try:
            yield
        finally:
            self._ended, self._began = self.seconds, None


class ProgressListener(Protocol):
    """Receives progress of an import. Called in the writer's thread, after the commit."""

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Receive the ids of a stored list page."""
        ...

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Receive items that are done."""
        ...


class NullListener:
    """A listener that does nothing."""

    def page_stored(self, external_ids: Sequence[str]) -> None:
        """Receive the ids of a stored list page."""

    def items_stored(self, items: Sequence[StoredItem]) -> None:
        """Receive items that are done."""
