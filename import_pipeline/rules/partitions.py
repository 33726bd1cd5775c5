"""Into which partitions the items of a source fall: one each, or so many to a bucket.

Items are numbered from 1 in the order in which they were first met, for good. So a bucket never changes its items, and
a list that grows only gets new buckets at its end.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: A key's numbers are filled up with zeros to so many digits, so that keys sort as their buckets do.
DIGITS = 9


@dataclass(frozen=True)
class Partitions:
    """How items are put into partitions; `size` items to each, None: each item is one of its own."""

    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"expected buckets of at least one item, got {self.size}")

    def key_of(self, number: int) -> str:
        """The key of the bucket that holds the item of that number: the first and the last number in it."""
        if self.size is None:
            raise ValueError("expected partitions in buckets, got one per item")
        first = (number - 1) // self.size * self.size + 1
        return f"{first:0{DIGITS}d}-{first + self.size - 1:0{DIGITS}d}"


#: Comfortable up to some 10,000 items.
per_item = Partitions()


def buckets(size: int) -> Partitions:
    """Partitions of so many items, for sources with more of them than Dagster shows with ease."""
    return Partitions(size)


def range_of(key: str) -> tuple[int, int]:
    """The first and the last number of a bucket's items; raises ValueError for what is no bucket's key."""
    found = re.fullmatch(r"(\d{1,15})-(\d{1,15})", key)
    if found is None:
        raise ValueError(f"expected a bucket such as {buckets(500).key_of(1)}, got {key!r}")
    return int(found[1]), int(found[2])


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in as few ranges as possible."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result
