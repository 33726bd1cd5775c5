"""The names of rate-limit headers, in the many spellings in use. No I/O."""

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from import_pipeline.rules.responses.waits import MILLISECOND, SECOND

#: No header about limits has a longer name.
LONGEST_NAME = 80
KINDS = {
    "limit": "limit", "max": "limit", "remaining": "remaining", "available": "remaining",
    "reset": "reset", "resets": "reset", "resettime": "reset", "interval": "window", "window": "window",
    "fillrate": "fill",
    "resource": "resource", "bucket": "resource", "used": "used", "observed": "used", "policy": "other",
    "name": "other", "scope": "other", "global": "other", "nearlimit": "other", "reason": "other", "type": "other",
}  # fmt: skip
WINDOWS = {
    "second": 1, "secondly": 1, "minute": 60, "minutely": 60, "hour": 3600, "hourly": 3600, "day": 86_400,
    "daily": 86_400, "week": 604_800, "weekly": 604_800, "month": 2_592_000, "monthly": 2_592_000,
}  # fmt: skip
MILLISECONDS, SECONDS = frozenset({"ms", "millis", "milliseconds"}), frozenset({"s", "sec", "seconds"})
FILLERS = frozenset({"after", "at", "in", "time", "on", "date", "delta", "per"})

_RETRY = re.compile(r"(?:[a-z0-9]+-){0,6}retry-?after((?:-[a-z]+){0,2})")
_LIMIT = re.compile(r"((?:[a-z0-9]+-){0,4}?)rate-?limit((?:-[a-z0-9]+){0,6})")


@dataclass(frozen=True, kw_only=True)
class HeaderName:
    """The meaning of a header's name."""

    kind: str  #: retry, limit, remaining, reset, window, fill, resource, used, used-of or other
    prefix: str = ""  #: the part before it, such as `x-`
    what: str = ""  #: the thing that is counted, such as `tokens` or `minute`; empty: requests
    unit: float = SECOND  #: of a bare number
    window: timedelta | None = None


@lru_cache(maxsize=1024)
def read_name(name: str) -> HeaderName | None:
    """Return the meaning of a header's name; None if it is not about limits."""
    if len(name) > LONGEST_NAME:
        return None
    name = name.lower()
    if retry := _RETRY.fullmatch(name):
        return HeaderName(kind="retry", unit=_unit(retry[1].split("-")))
    if name.endswith("-call-limit"):  # Shopify's X-Shopify-Shop-Api-Call-Limit: 39/40
        return HeaderName(kind="used-of", prefix=name)
    if not (limit := _LIMIT.fullmatch(name)):
        return None
    words = limit[2].split("-")[1:]
    kinds = [KINDS[word] for word in words if word in KINDS]
    rest = [word for word in words if word not in {*KINDS, *MILLISECONDS, *SECONDS, *FILLERS}]
    if not words and not limit[1]:
        return None  # RateLimit itself holds a list, see `ietf_statuses`
    window = next((WINDOWS[word] for word in rest if word in WINDOWS), None)
    return HeaderName(
        kind=kinds[0] if kinds else "limit",
        prefix=limit[1],
        what="-".join(rest),
        unit=_unit(words),
        window=None if window is None or len(rest) > 1 else timedelta(seconds=window),
    )


def _unit(words: list[str]) -> float:
    return MILLISECOND if MILLISECONDS & {*words} else SECOND
