"""The usage of an API's limits by all processes together, for display."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from import_pipeline.ratelimit.protocol import SECOND, ExchangeReply, windows_of
from import_pipeline.ratelimit.tiers import Tiers
from import_pipeline.settings.endpoint_limits import join_endpoints

MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class TierUsage:
    """The units taken in a tier."""

    amount: int
    seconds: int
    used: int
    endpoint: str = ""  #: the path prefix that it limits; empty: all others


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The counters of an API, shared by all processes. They only grow, so callers take differences."""

    hits: int  #: answers of "too many requests"
    sleeps: int  #: intervals in which a permit was refused, over all processes
    slept_seconds: float  #: their sum, each second counted once; pauses included
    paused_until: datetime | None  #: the shared pause's end (aware, UTC)
    tiers: tuple[TierUsage, ...] = ()
    is_learned: bool = False  #: True if the tiers are not configured, but named by the server or inferred
    concurrent: int | None = None  #: the most requests in flight over all processes; None: any number
    in_flight: int | None = None  #: requests in flight, if their number is limited
    allowed_fraction: float = 1.0  #: of the tiers' amounts that is in use: below 1, the server was found to grant less


def usage_of(result: ExchangeReply, tiers: Tiers, now: datetime) -> Usage:
    """Return the usage in the reply to an exchange with `count_units`."""
    windows = result.inferred_tiers or windows_of(tiers)
    return Usage(
        allowed_fraction=result.allowed_fraction / MILLION,
        is_learned=bool(result.inferred_tiers),
        concurrent=tiers.concurrent or None,
        in_flight=result.in_flight if tiers.concurrent else None,
        hits=result.hits,
        sleeps=result.sleeps,
        slept_seconds=result.slept / SECOND,
        paused_until=now + timedelta(microseconds=result.pause) if result.pause else None,
        tiers=tuple(
            TierUsage(amount=amount, seconds=window // SECOND, used=used)
            for (amount, window), used in zip(windows, result.used, strict=True)
        ),
    )


def combined(usages: Mapping[str, Usage]) -> Usage:
    """Return the usage of an API from that of its endpoints, by path prefix; it is paused while any of them is."""
    if len(usages) == 1:
        return next(iter(usages.values()))
    own, others = usages[""], list(usages.values())
    in_flight = next((each for each in (own, *others) if each.concurrent is not None), own)
    return Usage(
        hits=sum(each.hits for each in others),
        sleeps=sum(each.sleeps for each in others),
        slept_seconds=sum(each.slept_seconds for each in others),
        paused_until=max((each.paused_until for each in others if each.paused_until is not None), default=None),
        tiers=tuple(replace(tier, endpoint=prefix) for prefix, each in usages.items() for tier in each.tiers),
        is_learned=any(each.is_learned for each in others),
        concurrent=in_flight.concurrent,
        in_flight=in_flight.in_flight,
        allowed_fraction=min(each.allowed_fraction for each in others),
    )


def in_notation(usage: Usage) -> str:
    """Return the tiers in the notation of the settings; empty if there are none."""
    entries: dict[str, list[str]] = {"": []}
    for tier in usage.tiers:
        entries.setdefault(tier.endpoint, []).append(f"{tier.amount}/{tier.seconds} second")
    return join_endpoints({prefix: "; ".join(tiers) for prefix, tiers in entries.items()})
