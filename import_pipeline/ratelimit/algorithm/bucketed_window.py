"""Long tiers, such as a million requests a month: a count per hundredth of the window instead of a log entry each.

The units of a bucket are free when its last moment has left the window. So the rule is stricter than the exact one, by
a hundredth of the window at most, and never looser. Pure, in microseconds. `stores/lua/30_windows.lua` does the same.
"""

from collections.abc import Iterator, Sequence

from import_pipeline.ratelimit.protocol import SECOND

DAY = 86_400 * SECOND  #: windows of at least this are bucketed
#: A tier is also bucketed if it would need more log entries than this and its window is at least that long.
MOST_STAMPS, LEAST_WINDOW = 10_000, 600 * SECOND

Counts = dict[str, dict[str, int]]  #: window -> bucket -> units taken; the keys are text because JSON allows no other


def is_bucketed(amount: int, window: int) -> bool:
    """Return True if a tier is counted in buckets."""
    return window >= DAY or (amount > MOST_STAMPS and window >= LEAST_WINDOW)


def bucket_of(window: int, moment: int) -> int:
    """Return the number of the bucket that contains a moment."""
    return moment // -(-window // 100)


def frees_at(window: int, bucket: int) -> int:
    """Return the moment at which all of a bucket has left the window."""
    return (bucket + 1) * -(-window // 100) + window


def add(counts: Counts, window: int, moment: int, units: int) -> None:
    """Add units at a moment; a negative number removes them."""
    taken = counts.setdefault(str(window), {})
    bucket = str(bucket_of(window, moment))
    taken[bucket] = taken.get(bucket, 0) + units
    if taken[bucket] <= 0:
        del taken[bucket]


def carry_over(counts: Counts, old: int, window: int, units: int, now: int) -> None:
    """Copy units into a longer window: the newest of the old one with their time, the rest as of now.

    Each counts as of the last moment of its bucket: a later moment is the safe side.
    """
    taken = counts.get(str(old), {})
    for bucket in sorted(map(int, taken), reverse=True):
        carried = min(units, taken[str(bucket)])
        add(counts, window, (bucket + 1) * -(-old // 100) - 1, carried)
        units -= carried
    add(counts, window, now, units)


def forget(counts: Counts, now: int) -> None:
    """Remove the buckets that have left their window."""
    for window, taken in counts.items():
        for bucket in [each for each in taken if frees_at(int(window), int(each)) <= now]:
            del taken[bucket]


def taken(counts: Counts, window: int) -> int:
    """Return the units taken in a window."""
    return sum(counts.get(str(window), {}).values())


def first_free(counts: Counts, window: int) -> int | None:
    """Return the moment at which the oldest bucket comes free; None if no unit is taken."""
    buckets = counts.get(str(window))
    return frees_at(window, min(map(int, buckets))) if buckets else None


def unit_starts(counts: Counts, amount: int, window: int, count: int, now: int) -> Sequence[int]:
    """Return the earliest start of each of the next `count` units."""
    oldest = _oldest_first(counts, window)
    left, moment, starts = taken(counts, window), now, list[int]()
    for unit in range(count):
        while left + unit >= amount:
            free, units = next(oldest, (now + window, left + unit))
            moment, left = max(moment, free), left - units
        starts.append(moment)
    return starts


def _oldest_first(counts: Counts, window: int) -> Iterator[tuple[int, int]]:
    """Yield the moment at which each bucket comes free, and its units."""
    buckets = counts.get(str(window), {})
    for bucket in sorted(map(int, buckets)):
        yield frees_at(window, bucket), buckets[str(bucket)]
