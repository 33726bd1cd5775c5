"""Waits and moments in the spellings that servers use. Total: any text is a wait within bounds, or None."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

#: The longest plausible wait: until a monthly quota starts again. A longer one is no hint.
LONGEST = timedelta(days=31)
#: No spelling is longer; a longer text is not parsed.
LONGEST_TEXT = 128
SECOND, MILLISECOND = 1.0, 0.001
#: Numbers from the first value on are moments, not durations: since 1970, in units of the second value (in seconds).
EPOCHS = ((10**17, 1e-9), (10**14, 1e-6), (10**11, 1e-3), (10**9, 1.0))
UNITS = {
    "ns": 1e-9, "nanosecond": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "microsecond": 1e-6,
    "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60,
    "h": 3600, "hr": 3600, "hour": 3600, "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800,
}  # fmt: skip

_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})")
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([a-zµμ]+)[\s,]*")
_ISO_DURATION = re.compile(
    r"P(?:(?P<week>[\d.]{1,15})W)?(?:(?P<day>[\d.]{1,15})D)?"
    r"(?:T(?:(?P<hour>[\d.]{1,15})H)?(?:(?P<minute>[\d.]{1,15})M)?(?:(?P<second>[\d.]{1,15})S)?)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,3}):(\d{2}):(\d{2}(?:\.\d{1,9})?)")
_WEEKDAY = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\b,?\s*", re.IGNORECASE)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
_ZONE = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)


def read_wait(text: str | None, *, now: datetime, unit: float = SECOND) -> timedelta | None:
    """Return the wait from `now` on that a text names; None if it is absent, unreadable or implausible.

    A bare number is a multiple of `unit` seconds, or a moment since 1970 if it is too large for a duration. A moment in
    the past gives a negative wait. Of several values in one text (a header sent twice), the longest counts.
    """
    if text is None or len(text) > LONGEST_TEXT:
        return None
    whole = _read_one(text.strip(), now, unit)
    if whole is not None or "," not in text:
        return whole
    parts = [_read_one(part.strip(), now, unit) for part in _WEEKDAY.sub("", text).split(",")]
    return max((part for part in parts if part is not None), default=None)


def read_moment(text: str) -> datetime | None:
    """Return the moment that an HTTP date or an ISO 8601 date names (aware); None if it is none."""
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        return None
    try:
        if _ISO_DATE.match(text):
            moment = datetime.fromisoformat(_ZONE.sub("+00:00", text).replace(" +", "+").replace(" -", "-"))
        else:
            moment = parsedate_to_datetime(_WEEKDAY.sub("", text))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_moment(text: str | None) -> bool:
    """Return True if a text names a moment, not a duration."""
    text = (text or "").strip()
    if _NUMBER.fullmatch(text):
        return float(text) >= EPOCHS[-1][0]
    return read_moment(text) is not None


def _read_one(text: str, now: datetime, unit: float) -> timedelta | None:
    if _NUMBER.fullmatch(text):
        number = float(text)
        for least, part in EPOCHS:
            if number >= least:
                return plausible(number * part - now.timestamp())
        return plausible(number * unit)
    seconds = _duration(text)
    if seconds is not None:
        return plausible(seconds)
    moment = read_moment(text)
    return None if moment is None else plausible((moment - now).total_seconds())


def _duration(text: str) -> float | None:
    """Return the seconds in `6m0s`, `500ms`, `2 minutes`, `PT1M30S` or `00:01:30`."""
    if clock := _CLOCK.fullmatch(text):
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    if (iso := _ISO_DURATION.fullmatch(text)) and any(iso.groups()):
        return _sum([(number, unit) for unit, number in iso.groupdict().items() if number])
    lowered, parts, at = text.lower(), list[tuple[str, str]](), 0
    while part := _PART.match(lowered, at):
        parts.append((part[1], part[2]))
        at = part.end()
    return _sum(parts) if parts and at == len(lowered) else None


def _sum(parts: list[tuple[str, str]]) -> float | None:
    try:
        return sum(float(number) * _unit(name) for number, name in parts)
    except (KeyError, ValueError):
        return None


def _unit(name: str) -> float:
    return UNITS[name] if name in UNITS else UNITS[name.removesuffix("s")]


def plausible(seconds: float) -> timedelta | None:
    """Return a wait of that many seconds; None if it is implausible."""
    longest = LONGEST.total_seconds()
    return timedelta(seconds=seconds) if -longest <= seconds <= longest else None
