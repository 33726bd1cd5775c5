"""Times and numbers as the pages show them."""

from datetime import datetime, timedelta

NOTHING = "\N{EN DASH}"


def relative(seconds: float | None) -> str:
    """Return `in 2 h`, `44 min ago` or `now`, in the largest unit that fits."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number = round(abs(seconds) / length)
        if abs(seconds) >= 0.99 * length and (unit != "d" or number >= 2):
            return f"in {number} {unit}" if seconds > 0 else f"{number} {unit} ago"
    return "now"


def due(seconds: float) -> str:
    """Return `in 5 s` for a time ahead, else `due now`."""
    return relative(seconds) if seconds >= 0.99 else "due now"


def moment(at: datetime | None) -> str:
    """Return `2030-01-31 09:00:00 UTC`; the script replaces it by the time in the reader's zone."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else NOTHING


def number(value: float | None) -> str:
    """Return `12,345`, or a dash for None."""
    return NOTHING if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """Return `41 %`, and `100 %` only if everything is done."""
    if value is None:
        return NOTHING
    return "100 %" if value >= 100 else f"{min(99, int(value))} %"


def window(seconds: int) -> str:
    """Return the window of a tier: `20 s`, `1 min`, `1 h`."""
    whole = timedelta(seconds=seconds)
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if whole >= length and not whole % length:
            return f"{whole // length} {unit}"
    return f"{seconds} s"
