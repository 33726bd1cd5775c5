"""The sliding-window log: per permit the latest moment at which the server can have counted its request."""

from collections.abc import Iterator, Sequence
from typing import Protocol


class WindowLog(Protocol):
    """Moments by permit, in their order. A permit of several units has one entry per unit."""

    def put(self, permit: str, moment: int) -> None:
        """Add an entry, or move it."""
        ...

    def remove(self, permit: str) -> None:
        """Remove an entry, if it exists."""
        ...

    def moment(self, permit: str) -> int | None:
        """Return the moment of an entry; None if it does not exist."""
        ...

    def newest(self, skip: int, count: int) -> Sequence[int]:
        """Return up to `count` moments, newest first, after skipping `skip`."""
        ...

    def later_than(self, moment: int) -> int:
        """Return the number of entries later than a moment."""
        ...

    def first_after(self, moment: int) -> int | None:
        """Return the oldest moment later than this one."""
        ...

    def forget(self, until: int) -> None:
        """Remove all entries up to a moment."""
        ...


def units(permit: str, cost: int) -> Iterator[str]:
    """Yield the names of a permit's entries, one per unit of its cost."""
    yield permit
    for number in range(1, cost):
        yield f"{permit}+{number}"
