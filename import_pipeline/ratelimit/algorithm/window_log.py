"""Per permit the latest moment at which the server can have counted its request."""

from collections.abc import Iterator, Sequence
from typing import Protocol


class WindowLog(Protocol):
    """Moments by permit, in their order. A permit of several places stands in them once for each."""

    def put(self, permit: str, moment: int) -> None:
        """Add a permit, or move it."""
        ...

    def remove(self, permit: str) -> None:
        """Forget a permit, if it is there."""
        ...

    def moment(self, permit: str) -> int | None:
        """Where a permit stands, if it is there."""
        ...

    def newest(self, skip: int, count: int) -> Sequence[int]:
        """That many moments, newest first, after skipping some."""
        ...

    def later_than(self, moment: int) -> int:
        """How many are later."""
        ...

    def first_after(self, moment: int) -> int | None:
        """The oldest that is later."""
        ...

    def forget(self, until: int) -> None:
        """Drop all that are not later."""
        ...


def places(permit: str, cost: int) -> Iterator[str]:
    """The names under which a permit of that many places stands."""
    yield permit
    for number in range(1, cost):
        yield f"{permit}+{number}"
