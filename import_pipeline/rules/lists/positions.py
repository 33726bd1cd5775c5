"""Positions of list items, as their `updated_at`, id or cursor: how they compare, and how far back to ask. No I/O."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import total_ordering

#: The longest text that a position may have.
LONGEST_POSITION = 255
#: A time without an offset may be of any zone. Zones behind UTC end here, so its instant may lie that much later.
FARTHEST_ZONE = timedelta(hours=12)

_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:(?P<gap>[Tt ])(?P<clock>\d{2}:\d{2})(?:(?P<seconds>:\d{2})(?:(?P<point>[.,])(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone> ?(?:[Zz]|[+-]\d{2}(?::?\d{2})?))?)?",
    re.ASCII,
)


class PositionKind(StrEnum):
    """The kinds of positions, by their texts."""

    NUMBER = "number"  #: compared as a number
    TIME = "time"  #: an ISO 8601 time, compared as an instant
    TEXT = "text"  #: compared by its characters


@total_ordering
@dataclass(frozen=True, eq=False)
class Position:
    """A position as the source returned it. Only positions of one kind compare."""

    text: str
    kind: PositionKind
    value: Decimal | tuple[datetime, int] | str  #: of a time: its instant to the microsecond, and further digits
    #: The moment from which no further change gets this position; None if it is not a time. A time to the second covers
    #: the whole second, one without an offset any zone.
    settled_at: datetime | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Position) and (self.kind, self.value) == (other.kind, other.value)

    def __lt__(self, other: "Position") -> bool:
        if self.kind is not other.kind:
            raise TypeError(f"a {self.kind} does not compare with a {other.kind}")
        return self.value < other.value  # type: ignore[operator]

    def __hash__(self) -> int:
        return hash((self.kind, self.value))


def parse_position(text: str) -> Position:
    """Return the position of that text: a number or a time if it reads like one, else the text itself."""
    if _NUMBER.fullmatch(text):
        return Position(text, PositionKind.NUMBER, Decimal(text))
    found = _TIME.fullmatch(text)
    if found is not None:
        try:
            instant = _instant(found)
        except (ValueError, OverflowError):  # such as the 31st of February
            return Position(text, PositionKind.TEXT, text)
        further = int((found["fraction"] or "").ljust(9, "0")[6:])
        return Position(text, PositionKind.TIME, (instant, further), _settled_at(found, instant))
    return Position(text, PositionKind.TEXT, text)


def mix_problem(position: Position, known: Position) -> str | None:
    """Return why a position does not compare with an earlier one of the same source; None if it does."""
    if position.kind is known.kind:
        return None
    return f"must return one kind of position: {position.text!r} is a {position.kind}, {known.text!r} a {known.kind}"


def lookback_problem(kind: PositionKind, lookback: timedelta | float) -> str | None:
    """Return why this lookback does not fit positions of that kind; None if it does."""
    if not lookback:
        return None
    if kind is PositionKind.TIME and not isinstance(lookback, timedelta):
        return "positions are times: expected a timedelta, such as timedelta(minutes=5)"
    if kind is PositionKind.NUMBER and isinstance(lookback, timedelta):
        return "positions are numbers: expected a number"
    if kind is PositionKind.TEXT:
        return "positions are neither times nor numbers: expected 0"
    return None


def minus(position: Position, lookback: timedelta | float) -> str:
    """Return the position that lies `lookback` before, in the same form.

    Raises ValueError for a lookback that does not fit (`lookback_problem`).
    """
    if not lookback:
        return position.text
    if isinstance(position.value, Decimal):
        earlier = position.value - Decimal(str(lookback))
        return f"{max(Decimal(0), earlier) if position.value >= 0 else earlier:f}"
    found = _TIME.fullmatch(position.text)
    if found is None or not isinstance(lookback, timedelta):
        raise ValueError(f"{lookback!r} does not fit {position.text!r}")
    return _moved_back(found, lookback)


def _instant(found: re.Match[str]) -> datetime:
    """Return the instant of a matched time, to the microsecond; without an offset, as if it were UTC."""
    zone = (found["zone"] or "Z").strip().upper()
    return datetime.fromisoformat(_local(found).isoformat() + ("+00:00" if zone == "Z" else zone)).astimezone(UTC)


def _local(found: re.Match[str]) -> datetime:
    """Return the matched time without its offset. A leap second counts as the second before it."""
    seconds = {":60": ":59", None: ":00"}.get(found["seconds"], found["seconds"])
    fraction = (found["fraction"] or "").ljust(6, "0")[:6]
    return datetime.fromisoformat(f"{found['date']}T{found['clock'] or '00:00'}{seconds}.{fraction}")


def _settled_at(found: re.Match[str], instant: datetime) -> datetime:
    try:
        return instant + _resolution(found) + (timedelta(0) if found["zone"] else FARTHEST_ZONE)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _resolution(found: re.Match[str]) -> timedelta:
    """Return the span that a matched time covers. Zeros after the point may be decoration of whole seconds."""
    if found["clock"] is None:
        return timedelta(days=1)
    if found["seconds"] is None:
        return timedelta(minutes=1)
    digits = found["fraction"] or ""
    return timedelta(seconds=1) if not digits.strip("0") else timedelta(microseconds=10 ** max(0, 6 - len(digits)))


def _moved_back(found: re.Match[str], by: timedelta) -> str:
    """Return the matched time moved back, with the same separators, digits and offset; rounded down to its digits."""
    try:
        moved = _local(found) - by
    except OverflowError:
        return found.string
    text = moved.strftime("%Y").rjust(4, "0") + moved.strftime("-%m-%d")
    if found["clock"] is None:
        return text
    text += found["gap"] + moved.strftime("%H:%M") + (moved.strftime(":%S") if found["seconds"] else "")
    if digits := found["fraction"]:
        more = f"{moved.microsecond:06}{digits[6:]}"
        text += found["point"] + more[: len(digits)]
    return text + (found["zone"] or "")
