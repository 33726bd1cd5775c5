"""Text for people: plurals, durations, and control characters made visible."""

import re
from datetime import datetime

#: C0 and C1 controls, DEL, line and paragraph separators, marks that change the direction of text, half characters.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return `1 item`, `2 items`, `12,345 items`; `many` is the plural of a word that takes no plain s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return `4.2 s`, `3 min 20 s`, `2 h 05 min` or `3 d 4 h`; tenths show below a minute only."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def capitalized(text: str) -> str:
    """Return a clause as the beginning of a sentence; the case of its other letters stays."""
    return f"{text[:1].upper()}{text[1:]}"


def sentence(text: str) -> str:
    """Return a clause as a sentence: its first letter capital, a full stop at the end."""
    return f"{capitalized(text)}{'' if text.endswith(('.', '!', '?')) else '.'}"


def iso(at: datetime | None) -> str | None:
    """Return the time as JSON carries it, in ISO 8601 with its offset."""
    return at.isoformat() if at else None


def visible(text: str) -> str:
    r"""Return the text on one line, with each unsafe character escaped as in Python: `\x1b`, `\n`, `\u202e`.

    A terminal, a log or a page would act on these characters. Ids and messages of an API are displayed through this;
    stored and sent they stay unchanged.
    """
    return _UNSAFE.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """Do as `visible`, but keep line breaks and tabs: for our own text of several lines."""
    return _UNSAFE_BUT_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", errors="surrogatepass").decode("ascii")
