"""Slots: the wall-clock times at which an import of a source is due. No I/O.

A slot is due every day, at the first moment at which the clocks of its zone show its time or a later one. A time that a
clock change skips is due at the change. A time that a clock change repeats is due once, the first time. Slots that a
change brings together are one slot.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EXPECTED = "hours or times of the day, such as 0,3,6 or 09:30,12:00"
_ONE = re.compile(r"(\d{1,2})(?::(\d{2}))?", re.ASCII)
_DAY = timedelta(days=1)
#: The scheduler ticks every few seconds; after this time, none has followed a slot.
TICKS_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Times of the day in a time zone. Returned instants are aware, in UTC."""

    times: tuple[time, ...]  #: at least one, rising, without zone
    zone: ZoneInfo

    def __str__(self) -> str:
        """`09:30, 12:00 (Europe/Berlin)`"""
        return f"{', '.join(f'{at:%H:%M}' for at in self.times)} ({self.zone.key})"

    def next_after(self, instant: datetime) -> datetime:
        """Return the first slot after the instant."""
        return next(moment for moment in self._upwards(instant) if moment > instant)

    def latest_at(self, instant: datetime) -> datetime:
        """Return the latest slot at or before the instant."""
        return next(moment for moment in self._downwards(instant) if moment <= instant)

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the slots after the instant in order, without end."""
        while True:
            instant = self.next_after(instant)
            yield instant

    def on(self, day: date) -> list[datetime]:
        """Return the moments of a day's slots in order, one per time; a clock change may make several equal."""
        return sorted(_moment(datetime.combine(day, at), self.zone) for at in self.times)

    @property
    def longest_gap(self) -> timedelta:
        """The longest time between two successive slots, by the wall clock."""
        minutes = [at.hour * 60 + at.minute for at in self.times]
        following = [*minutes[1:], minutes[0] + 24 * 60]
        return timedelta(minutes=max(after - before for before, after in zip(minutes, following, strict=True)))

    def _upwards(self, instant: datetime) -> Iterator[datetime]:
        # From the day before: a zone that skips a whole day has that day's slots at the start of the next one.
        day = instant.astimezone(self.zone).date() - _DAY
        while True:
            yield from self.on(day)
            day += _DAY

    def _downwards(self, instant: datetime) -> Iterator[datetime]:
        day = instant.astimezone(self.zone).date() + _DAY
        while True:
            yield from reversed(self.on(day))
            day -= _DAY


def unserved_slot(slots: Slots, last_tick: datetime | None, now: datetime) -> datetime | None:
    """Return the latest slot if nothing has followed it, a while after its time; None if a tick has, or may still."""
    slot_at = slots.latest_at(now)
    is_served = last_tick is None or last_tick >= slot_at
    return None if is_served or now - slot_at < TICKS_WITHIN else slot_at


def parse_slots(text: str, time_zone: str) -> Slots:
    """Parse `0,3,6` or `09:30,12:00` in a zone such as Europe/Berlin. Raises ValueError with the expected format."""
    return Slots(times=_times(text), zone=_zone(time_zone))


def slot_faults(slots: str, time_zone: str) -> Iterator[tuple[str, str, str]]:
    """Yield each invalid one of `slots` and `time_zone` by its name, with the expectation and the value."""
    for name, given in (("slots", (slots, "UTC")), ("time_zone", ("0", time_zone))):
        try:
            parse_slots(*given)
        except ValueError as error:
            expected, _, got = str(error).removeprefix("expected ").rpartition(", got ")
            yield name, expected, got


def end_of_off_time(seen_off_at: datetime, on_since: datetime | None, now: datetime) -> datetime:
    """Return the end of the time in which a schedule was off that is on now.

    `seen_off_at`: the latest tick that found it off. `on_since`: when a person switched it on after that; None if
    unknown. Without it the time ends now, so that no slot counts as missed.
    """
    return min(now, now if on_since is None or on_since <= seen_off_at else on_since)


def _times(text: str) -> tuple[time, ...]:
    try:
        return tuple(sorted({_time(part.strip()) for part in text.split(",")}))
    except ValueError:
        raise ValueError(f"expected {EXPECTED}, got {text!r}") from None


def _time(text: str) -> time:
    found = _ONE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return time(int(found[1]), int(found[2] or 0))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown, not a name, or a folder of zones
        raise ValueError(f"expected a time zone such as Europe/Berlin, got {name!r}") from None


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment at which the zone's clocks show that time or a later one."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    # The clocks never show it. Read with the offset before the change it lies after it, and vice versa (PEP 495).
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
