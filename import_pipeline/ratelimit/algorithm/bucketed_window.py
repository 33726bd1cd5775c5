"""Long tiers, such as a million a month: not every request is remembered, only how many fell into each hundredth.

A hundredth of the window is free again when its last moment has left the window: stricter than the exact rule by a
hundredth at most, and never less strict. Pure, in microseconds. `lua/` does the same in Redis.
"""

from collections.abc import Iterator, Sequence

from import_pipeline.ratelimit.protocol import SECOND

DAY = 86_400 * SECOND  #: windows from here on are counted in hundredths
#: So are shorter ones, from the second on, that would need more stamps than the first.
MOST_STAMPS, LEAST_WINDOW = 10_000, 600 * SECOND

Counts = dict[str, dict[str, int]]  #: window -> hundredth -> places taken in it; text, since JSON has no other keys


def is_bucketed(amount: int, window: int) -> bool:
    """Whether a tier is counted in hundredths."""
    return window >= DAY or (amount > MOST_STAMPS and window >= LEAST_WINDOW)


def bucket_of(window: int, moment: int) -> int:
    """The number of the hundredth that a moment lies in."""
    return moment // -(-window // 100)


def frees_at(window: int, number: int) -> int:
    """When all of a hundredth has left the window."""
    return (number + 1) * -(-window // 100) + window


def add(counts: Counts, window: int, moment: int, places: int) -> None:
    """Count so many places more, or fewer, at a moment."""
    taken = counts.setdefault(str(window), {})
    number = str(bucket_of(window, moment))
    taken[number] = taken.get(number, 0) + places
    if taken[number] <= 0:
        del taken[number]


def carry_over(counts: Counts, old: int, window: int, places: int, now: int) -> None:
    """Count so many places in a longer window: the newest that were counted in the old one, and the rest as of now.

    Each as of the last moment of its hundredth: late is safe.
    """
    taken = counts.get(str(old), {})
    for number in sorted(map(int, taken), reverse=True):
        carried = min(places, taken[str(number)])
        add(counts, window, (number + 1) * -(-old // 100) - 1, carried)
        places -= carried
    add(counts, window, now, places)


def forget(counts: Counts, now: int) -> None:
    """Drop what has left its window."""
    for window, taken in counts.items():
        for number in [each for each in taken if frees_at(int(window), int(each)) <= now]:
            del taken[number]


def taken(counts: Counts, window: int) -> int:
    """How many places of the window are taken."""
    return sum(counts.get(str(window), {}).values())


def first_free(counts: Counts, window: int) -> int | None:
    """When the first of them come free; None: none is taken."""
    numbers = counts.get(str(window))
    return frees_at(window, min(map(int, numbers))) if numbers else None


def starts(counts: Counts, amount: int, window: int, asked: int, now: int) -> Sequence[int]:
    """The earliest moment for each of so many places."""
    oldest = _oldest_first(counts, window)
    left, moment, found = taken(counts, window), now, []
    for place in range(asked):
        while left + place >= amount:
            free, places = next(oldest, (now + window, left + place))
            moment, left = max(moment, free), left - places
        found.append(moment)
    return found


def _oldest_first(counts: Counts, window: int) -> Iterator[tuple[int, int]]:
    """When places come free, and how many."""
    numbers = counts.get(str(window), {})
    for number in sorted(map(int, numbers)):
        yield frees_at(window, number), numbers[str(number)]
