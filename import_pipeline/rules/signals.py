"""What a server's headers say about its limits. Pure: everything unreadable is None, never an error."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

#: Nothing longer is believed in full; whoever waits has long given up by then.
LONGEST = timedelta(days=366)
#: A reset above this is a moment and no duration: seconds, or milliseconds above the next.
EPOCH_SECONDS = 1_000_000_000
EPOCH_MILLISECONDS = 1_000_000_000_000


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a server tells about one of its limits; None: it does not tell."""

    limit: int | None = None  #: requests per window
    remaining: int | None = None
    reset: timedelta | None = None  #: until the window is over, or a place is free
    is_moment: bool = False  #: whether it is a moment less a Date in whole seconds, and so up to a second too long
    window: timedelta | None = None


#: A Date is at most that much earlier than its sending: cut off to a second, and looked at once in one by many servers.
DATE_IS_LATE = timedelta(seconds=2)
#: What an answer may take on its way, and clocks that are kept right may differ.
TRANSIT = timedelta(milliseconds=100)
#: What a reset may be told too late: it is told in whole seconds.
RESET_ROUNDING = timedelta(seconds=1) + TRANSIT


def retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """The wait that a Retry-After header asks for (RFC 9110, 10.2.3); None when absent or unreadable.

    `now` is the answer's Date, against which a date is read. A moment in the past gives a negative wait.
    """
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        return _seconds(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return _capped((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now)


def answered_at(headers: Mapping[str, str], *, otherwise: datetime) -> datetime:
    """The server's own clock when it answered: the Date header, where it can be read."""
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_ours_right(headers: Mapping[str, str], *, now: datetime) -> bool:
    """Whether the Date header is what a server with our clock would write.

    Then ours is taken, since it tells more than whole seconds: a moment less a late Date is up to two seconds too long.
    """
    date = answered_at(headers, otherwise=now)
    return -TRANSIT <= now - date <= DATE_IS_LATE + TRANSIT


def is_refusal(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer says "too many requests": a 429, or a 503 that names a wait."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or (
        status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in headers
    )


def wait_asked_for(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """The wait after a refusal: Retry-After's; without it, until the reset of a limit that has nothing left.

    `now` is the client's clock, used where the answer has no Date.
    """
    date = answered_at(headers, otherwise=now)
    asked = retry_after(headers.get("retry-after"), now=date)
    if asked is not None:
        return asked
    resets = [
        each.reset for each in standings(headers, now=date) if each.reset is not None and each.remaining in (0, None)
    ]
    return max(resets, default=None)


def standings(headers: Mapping[str, str], *, now: datetime) -> list[Standing]:
    """Everything that the headers tell: the IETF's RateLimit (and -Policy), else the X-RateLimit-… of many APIs."""
    return ietf_standings(headers) or x_rate_limit(headers, now=now)


def standings_of_answer(headers: Mapping[str, str], *, now: datetime) -> list[Standing]:
    """Everything that an answer tells which came now.

    Moments are read against our clock; against Date only where a server with a clock like ours cannot have written it.
    """
    if is_ours_right(headers, now=now):
        return [replace(each, is_moment=False) for each in standings(headers, now=now)]
    return standings(headers, now=answered_at(headers, otherwise=now))


def part_of(told: Sequence[Standing], tiers: Sequence[tuple[int, float]]) -> float | None:
    """The least part of our tiers (amount, seconds) that the limits told by a server are; None: it tells nothing.

    A limit whose window is told belongs to the tier of that window; another one to the shortest tier that is not over
    before its reset, a second more or less; where no reset tells, to the tier nearest in amount (of two equally near
    the larger). More than ours is 1.0: it never raises what is configured.
    """
    parts = []
    for standing in told:
        limit, window = standing.limit, standing.window
        if not limit or not tiers:
            continue
        if window is not None:
            parts += [limit / amount for amount, seconds in tiers if seconds == window.total_seconds()]
        else:
            parts.append(limit / _tier_of(limit, standing.reset or timedelta(), tiers)[0])
    return min(1.0, *parts) if parts else None


def _tier_of(limit: int, reset: timedelta, tiers: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Ours, of a limit whose window is not told."""
    lasting = [tier for tier in tiers if timedelta(0) < reset <= timedelta(seconds=tier[1]) + RESET_ROUNDING]
    if lasting:
        return min(lasting, key=lambda tier: tier[1])
    return min(tiers, key=lambda tier: (round(abs(math.log(limit / tier[0])), 9), -tier[0]))


def used_of(told: Sequence[Standing], tiers: Sequence[tuple[int, float]]) -> dict[int, int]:
    """How many places a server says are taken, by the place of the tier: only where it tells of exactly that tier."""
    used = {}
    for standing in told:
        limit, remaining, window = standing.limit, standing.remaining, standing.window
        for place, (amount, seconds) in enumerate(tiers):
            same_window = window is None or window.total_seconds() == seconds
            if limit == amount and remaining is not None and same_window:
                used[place] = max(0, amount - remaining)
    return used


def x_rate_limit(headers: Mapping[str, str], *, now: datetime) -> list[Standing]:
    """X-RateLimit-Limit, -Remaining and -Reset; the reset is a moment in seconds or milliseconds, or a duration."""
    reset = _named(headers, "reset")
    found = Standing(
        limit=_whole(_named(headers, "limit")),
        remaining=_whole(_named(headers, "remaining")),
        reset=reset_in(reset, now=now),
        is_moment=bool(re.fullmatch(r"\s*\d{10,}(\.\d+)?\s*", reset or "")),
    )
    return [found] if found != Standing() else []


def reset_in(header: str | None, *, now: datetime) -> timedelta | None:
    """How long until a reset that is given as seconds, or as seconds or milliseconds since 1970."""
    text = (header or "").strip()
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return None
    number = float(text)
    if number >= EPOCH_MILLISECONDS:
        return _capped_seconds(number / 1000 - now.timestamp())
    if number >= EPOCH_SECONDS:
        return _capped_seconds(number - now.timestamp())
    return _capped_seconds(number)


def ietf_standings(headers: Mapping[str, str]) -> list[Standing]:
    """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), old and new spellings.

    New: `RateLimit: "name";r=50;t=30` with `RateLimit-Policy: "name";q=100;w=60`. Old: `RateLimit: limit=100,
    remaining=50, reset=30`, or three headers `RateLimit-Limit`, `-Remaining`, `-Reset`, with a policy `100;w=60`.
    """
    policies = _parsed_list(headers.get("ratelimit-policy", ""))
    stated = headers.get("ratelimit", "")
    if re.match(r"\s*(limit|remaining|reset)\s*=", stated):
        pairs = dict(part.strip().split("=", 1) for part in stated.split(",") if "=" in part)
    else:
        pairs = {name: headers.get(f"ratelimit-{name}", "") for name in ("limit", "remaining", "reset")}
    values = [pairs.get(name) for name in ("limit", "remaining", "reset")]
    if any(values):
        limit = _whole(values[0])
        # The policy that this limit belongs to, if it stands among them: "100;w=60".
        window = next((parameters.get("w") for name, parameters in policies.items() if _whole(name) == limit), None)
        found = Standing(limit=limit, remaining=_whole(values[1]), reset=_seconds(values[2]), window=_seconds(window))
        return [found] if found != Standing() else []
    items = _parsed_list(stated)
    return [
        Standing(
            limit=_whole(policies.get(name, {}).get("q")),
            remaining=_whole(items.get(name, {}).get("r")),
            reset=_seconds(items.get(name, {}).get("t")),
            window=_seconds(policies.get(name, {}).get("w")),
        )
        for name in {**policies, **items}
        if "q" in policies.get(name, {}) or "r" in items.get(name, {})
    ]


def _parsed_list(header: str) -> dict[str, dict[str, str]]:
    """`"a";q=1;w=2, "b";q=3` -> {"a": {"q": "1", "w": "2"}, "b": {"q": "3"}}."""
    items: dict[str, dict[str, str]] = {}
    for member in header.split(","):
        name, *parameters = (part.strip() for part in member.split(";"))
        pairs = (parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        items[name.strip('"')] = {key.strip(): value.strip().strip('"') for key, value in pairs}
    items.pop("", None)
    return items


def _named(headers: Mapping[str, str], what: str) -> str | None:
    """The value under the first of the spellings in use."""
    return next((headers[name] for name in (f"x-ratelimit-{what}", f"x-rate-limit-{what}") if name in headers), None)


def _whole(text: str | None) -> int | None:
    """A whole number of requests; the first one where a list stands (`100, 100;w=60`)."""
    match = re.match(r"\s*(\d{1,15})\s*(?:[,;]|$)", text or "")
    return int(match[1]) if match else None


def _seconds(text: str | None) -> timedelta | None:
    try:
        return _capped_seconds(float(text)) if text else None
    except ValueError:
        return None


def _capped_seconds(seconds: float) -> timedelta | None:
    longest = LONGEST.total_seconds()
    if seconds != seconds:  # not a number
        return None
    return timedelta(seconds=min(max(seconds, -longest), longest))


def _capped(wait: timedelta) -> timedelta:
    return min(max(wait, -LONGEST), LONGEST)
