"""Rate-limit headers: Retry-After, X-RateLimit-..., RateLimit. Pure and total: unreadable text is None, no error."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from import_pipeline.rules.responses.limit_header_names import HeaderName, read_name
from import_pipeline.rules.responses.waits import LONGEST, is_moment, plausible, read_moment, read_wait


@dataclass(frozen=True, kw_only=True)
class LimitStatus:
    """The status of one of a server's limits; None for whatever the server does not name."""

    limit: int | None = None  #: requests per window
    remaining: int | None = None
    reset: timedelta | None = None  #: until the window is over, or a request is free
    is_moment: bool = False  #: True if the reset was a moment less a Date in whole seconds: up to a second too long
    window: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class UsableLimit:
    """A limit with all that is needed to keep to it."""

    limit: int
    used: int  #: requests counted, the answered one included; one more than the limit for a refused one
    reset: timedelta  #: until the oldest of them is free, at least
    window: timedelta  #: zero: not named


#: A Date is at most this much earlier than its sending: it is cut off to a second, and often cached for another one.
DATE_IS_LATE = timedelta(seconds=2)
#: The transit time of an answer, and the difference of two well-kept clocks.
TRANSIT = timedelta(milliseconds=100)
#: A full limit with a window and no reset makes us wait for the window, if it is no longer than this.
SHORT_WINDOW = timedelta(minutes=1)
#: Statuses that mean "too many requests" only if the answer names a wait (GitHub, Twitter, Shopify).
REFUSES_WITH_A_WAIT = frozenset({403, 409, 420, 423, 430, 503})


def retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Return the wait in a Retry-After header (RFC 9110, 10.2.3, and the spellings in use); None: no hint.

    A date is read against `now`, the answer's Date. A moment in the past gives a negative wait.
    """
    return read_wait(header, now=now)


def answered_at(headers: Mapping[str, str], *, otherwise: datetime) -> datetime:
    """Return the moment of the answer on the server's clock: the Date header, if it can be read."""
    return read_moment(headers.get("date", "")) or otherwise


def is_ours_right(headers: Mapping[str, str], *, now: datetime) -> bool:
    """Return True if a server with our clock would have written this Date header.

    Then our clock is used, since it is finer: a moment less a late Date is up to two seconds too long.
    """
    date = answered_at(headers, otherwise=now)
    return -TRANSIT <= now - date <= DATE_IS_LATE + TRANSIT


def is_rate_limited(status: int, headers: Mapping[str, str], *, now: datetime) -> bool:
    """Return True if an answer says "too many requests".

    A 429 does. Statuses with other meanings do only with a Retry-After header; a 403 also if a limit is used up.
    """
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if status not in REFUSES_WITH_A_WAIT:
        return False
    if any(name.kind == "retry" for name, _ in _named(headers)):
        return True
    return status == HTTPStatus.FORBIDDEN and any(each.remaining == 0 for each in limit_statuses(headers, now=now))


def retry_wait(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Return the wait after a refusal, always above zero; None if the server gave no usable hint.

    The longest of Retry-After and its relatives comes first, then the latest reset of a used-up limit. `now` is the
    client's clock, used if the answer has no Date.
    """
    date = answered_at(headers, otherwise=now)
    asked = [read_wait(text, now=date, unit=name.unit) for name, text in _named(headers) if name.kind == "retry"]
    full = [each for each in limit_statuses(headers, now=date) if each.remaining in (0, None)]
    resets = [each.reset for each in full]
    windows = [each.window for each in full if each.window and each.window <= SHORT_WINDOW and each.remaining == 0]
    for hints in (asked, resets, windows):
        waits = [wait for wait in hints if wait is not None and wait > timedelta(0)]
        if waits:
            return max(waits)
    return None


def limit_statuses(headers: Mapping[str, str], *, now: datetime) -> list[LimitStatus]:
    """Return all limits in the headers: the IETF's RateLimit (and -Policy), otherwise the X-RateLimit-... in use."""
    return ietf_statuses(headers, now=now) or x_rate_limit(headers, now=now)


def statuses_of_answer(headers: Mapping[str, str], *, now: datetime) -> list[LimitStatus]:
    """Return all limits in the headers of an answer that came just now.

    Moments are read against our clock, or against Date if a server with our clock cannot have written it.
    """
    if is_ours_right(headers, now=now):
        return [replace(each, is_moment=False) for each in limit_statuses(headers, now=now)]
    return limit_statuses(headers, now=answered_at(headers, otherwise=now))


def usable_limits(statuses: Iterable[LimitStatus], *, refused: bool, is_known: bool) -> list[UsableLimit]:
    """Return the limits that name enough to keep to them, for an API without configured ones.

    `refused`: the answer was a refusal. `is_known`: some limits of the API are known already.
    """
    usable = []
    for each in statuses:
        window = each.window or each.reset
        if not each.limit or window is None or window > LONGEST:
            continue
        left = each.limit if each.remaining is None else min(each.limit, each.remaining)
        if window <= timedelta(0) and left and not is_known:
            continue  # only the reset of a full or a known limit is rounded down to zero
        reset = (each.reset or timedelta()) - timedelta(seconds=1 if each.is_moment else 0)
        used = each.limit - left + (refused and not left)
        usable.append(UsableLimit(limit=each.limit, used=used, reset=reset, window=each.window or timedelta()))
    return usable


def may_be_about_limits(names: Iterable[bytes]) -> bool:
    """Return False if no header of these names can be about limits: most answers have none, and are read no further."""
    text = b" ".join(names).lower()
    return b"limit" in text or b"retry" in text


def names_limits(headers: Mapping[str, str]) -> bool:
    """Return True if any header names a limit or a part of one."""
    return any(name.kind != "retry" for name, _ in _named(headers)) or "ratelimit" in headers


def resource_of(headers: Mapping[str, str]) -> str:
    """Return the resource that the limits hold for (such as GitHub's X-RateLimit-Resource); empty if none is named."""
    return next((text.strip().lower()[:64] for name, text in _named(headers) if name.kind == "resource"), "")


def x_rate_limit(headers: Mapping[str, str], *, now: datetime) -> list[LimitStatus]:
    """Return the limits in headers such as X-RateLimit-Limit, -Remaining and -Reset.

    The last part of a name may be the window (`X-RateLimit-Limit-Minute`). Of limits on other things than requests,
    such as tokens, only the reset is used.
    """
    groups: dict[tuple[str, str], dict[str, tuple[HeaderName, str]]] = {}
    for name, text in _named(headers):
        if name.kind != "retry":
            groups.setdefault((name.prefix, name.what), {}).setdefault(name.kind, (name, text))
    found = [_status(group, now) for group in groups.values()]
    return [each for each in found if each != LimitStatus()]


def _status(group: Mapping[str, tuple[HeaderName, str]], now: datetime) -> LimitStatus:
    texts = {kind: text for kind, (_, text) in group.items()}
    name = next(iter(group.values()))[0]
    counts_requests = not name.what or name.window is not None
    is_bucket = "fill" in texts  # a token bucket has a refill rate, and no limit per window
    reset = group.get("reset")
    interval = group.get("window")
    window = read_wait(interval[1], now=now, unit=interval[0].unit) if interval else name.window
    used, slash, places = texts.get("used-of", "").partition("/")
    remaining = _whole(texts.get("remaining"))
    if slash and (taken := _whole(used)) is not None and (most := _whole(places)) is not None:
        remaining = max(0, most - taken)
    return LimitStatus(
        limit=_whole(texts.get("limit")) if counts_requests and not is_bucket else None,
        remaining=remaining,
        reset=read_wait(reset[1], now=now, unit=reset[0].unit) if reset else None,
        is_moment=reset is not None and is_moment(reset[1]),
        window=window if remaining is not None or texts.get("limit") else None,
    )


def ietf_statuses(headers: Mapping[str, str], *, now: datetime) -> list[LimitStatus]:
    """Return the limits in RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), old and new.

    New: `RateLimit: "name";r=50;t=30` with `RateLimit-Policy: "name";q=100;w=60`. Old: `RateLimit: limit=100,
    remaining=50, reset=30`, or three headers `RateLimit-Limit`, `-Remaining`, `-Reset`, with a policy `100;w=60`.
    Some servers write a moment instead of the draft's seconds (GitLab).
    """
    policies = _parsed_list(headers.get("ratelimit-policy", ""))
    stated = headers.get("ratelimit", "")
    if re.match(r"\s*(limit|remaining|reset)\s*=", stated):
        pairs = dict(part.strip().split("=", 1) for part in stated.split(",") if "=" in part)
    else:
        pairs = {name: headers.get(f"ratelimit-{name}", "") for name in ("limit", "remaining", "reset")}
        pairs["reset"] = pairs["reset"] or headers.get("ratelimit-resettime", "")
    values = [pairs.get(name) for name in ("limit", "remaining", "reset")]
    if any(values):
        limit = _whole(values[0])
        # The policy of this limit, if there is one: "100;w=60".
        window = next((parameters.get("w") for name, parameters in policies.items() if _whole(name) == limit), None)
        found = LimitStatus(
            limit=limit,
            remaining=_whole(values[1]),
            reset=read_wait(values[2], now=now),
            is_moment=is_moment(values[2]),
            window=_seconds(window),
        )
        return [found] if found != LimitStatus() else []
    items = _parsed_list(stated)
    return [
        LimitStatus(
            limit=_whole(policies.get(name, {}).get("q")),
            remaining=_whole(items.get(name, {}).get("r")),
            reset=read_wait(items.get(name, {}).get("t"), now=now),
            window=_seconds(policies.get(name, {}).get("w")),
        )
        for name in {**policies, **items}
        if "q" in policies.get(name, {}) or "r" in items.get(name, {})
    ]


def _parsed_list(header: str) -> dict[str, dict[str, str]]:
    """Parse `"a";q=1;w=2, "b";q=3` into {"a": {"q": "1", "w": "2"}, "b": {"q": "3"}}."""
    items: dict[str, dict[str, str]] = {}
    for member in header.split(","):
        name, *parameters = (part.strip() for part in member.split(";"))
        pairs = (parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        items[name.strip('"')] = {key.strip(): value.strip().strip('"') for key, value in pairs}
    items.pop("", None)
    return items


def _named(headers: Mapping[str, str]) -> list[tuple[HeaderName, str]]:
    """Return the headers about limits, with their parsed names."""
    read = ((read_name(name), text) for name, text in headers.items())
    return [(name, text) for name, text in read if name is not None]


def _whole(text: str | None) -> int | None:
    """Return a whole number of requests; of a list, the first one (`100, 100;w=60`)."""
    match = re.match(r"\s*(\d{1,15})(?:\.0*)?\s*(?:[,;]|$)", text or "")
    return int(match[1]) if match else None


def _seconds(text: str | None) -> timedelta | None:
    """Return a window in seconds, such as `60`; None if it is unreadable or implausible."""
    return plausible(float(text)) if text and re.fullmatch(r"\d{1,15}(\.\d{1,15})?", text) else None
