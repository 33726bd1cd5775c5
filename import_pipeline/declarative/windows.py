"""Windows of time as slices: `slices: {start: 2024-01-01, every: month}`."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from import_pipeline.declarative.groups import WindowWords


def windows(words: WindowWords, now: datetime) -> Iterator[str]:
    """Yield the keys of the windows from the start to the one that holds `now`, as begin/end.

    A window ends at the end of its period, so that its key is the same however often the windows are listed.
    """
    begin = moment_of(words.start)
    while begin <= now:
        end = _next(begin, words.every)
        yield _key(begin, end)
        begin = end


def halves(key: str) -> list[str]:
    """Return the keys of the two halves of a window, in whole seconds; none if it is one second long."""
    begin, end = map(moment_of, key.split("/"))
    middle = begin + timedelta(seconds=(end - begin) // timedelta(seconds=2))
    return [] if middle in {begin, end} else [_key(begin, middle), _key(middle, end)]


def _key(begin: datetime, end: datetime) -> str:
    return f"{begin:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}"


def moment_of(text: str) -> datetime:
    """Return the start of the windows in UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def bounds_of(key: str) -> Mapping[str, str]:
    """Return the values of placeholders for the slice `key`: of a window also {slice.start} and {slice.end}."""
    begin, _, end = key.partition("/")
    return {"slice": key, "slice.start": begin, "slice.end": end}


def _next(begin: datetime, every: str) -> datetime:
    if every == "year":
        return begin.replace(year=begin.year + 1, month=1, day=1)
    if every == "month":
        return (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
    return begin + timedelta(days=7 if every == "week" else 1)
