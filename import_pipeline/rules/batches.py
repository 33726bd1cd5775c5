"""The number of items in one detail request: all at first, fewer after each failure, one at the last try. No I/O."""

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def batch_size(most: int, failures: int, tries: int) -> int:
    """Return the items of a request for items that have failed so often.

    An item that breaks its whole request then fails alone at its last try. With one try only there is no later one.
    """
    if failures <= 0:
        return most
    last = tries - 1
    if failures >= last:
        return 1
    shrunk: float = most ** (1 - failures / last)
    return max(1, min(most >> failures, math.ceil(shrunk)))


def halves(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Return the first half, the larger one, and the second."""
    middle = (len(items) + 1) // 2
    return items[:middle], items[middle:]
