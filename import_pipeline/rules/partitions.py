"""The Dagster partitions of a source's items: one per item, or buckets of equal size. No I/O.

Items are numbered from 1 in the order in which they were first seen, permanently. A bucket therefore never changes its
items, and a growing list only gets new buckets at its end.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Digits of the numbers in a key, with leading zeros, so that keys sort as their buckets do.
DIGITS = 9


@dataclass(frozen=True)
class Partitions:
    """A partitioning of items: `size` items per bucket; None: one partition per item."""

    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"expected buckets of at least one item, got {self.size}")

    def key_of(self, number: int) -> str:
        """Return the key of the bucket of that item number: its first and last number."""
        if self.size is None:
            raise ValueError("expected partitions in buckets, got one per item")
        first = (number - 1) // self.size * self.size + 1
        return f"{first:0{DIGITS}d}-{first + self.size - 1:0{DIGITS}d}"


#: Comfortable up to some 10,000 items.
per_item = Partitions()


def buckets(size: int) -> Partitions:
    """Return partitions of `size` items each, for sources with more items than Dagster's UI shows well."""
    return Partitions(size)


def range_of(key: str) -> tuple[int, int]:
    """Return the first and last item number of a bucket. Raises ValueError for a text that is no bucket's key."""
    found = re.fullmatch(r"(\d{1,15})-(\d{1,15})", key)
    if found is None:
        raise ValueError(f"expected a bucket such as {buckets(500).key_of(1)}, got {key!r}")
    return int(found[1]), int(found[2])


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge ranges into as few as possible that hold the same numbers."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result
