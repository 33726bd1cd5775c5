"""The usage of an API's limits by all processes together, for display."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from import_pipeline.ratelimit.protocol import SECOND, ExchangeReply
from import_pipeline.ratelimit.tiers import Tiers

MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class TierUsage:
    """The units taken in a tier."""

    amount: int
    seconds: int
    used: int


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
    windows = result.inferred_tiers or tuple((tier.amount, tier.get_expiry() * SECOND) for tier in tiers)
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


def in_notation(usage: Usage) -> str:
    """Return the tiers in the notation of the settings; empty if there are none."""
    return "; ".join(f"{tier.amount}/{tier.seconds} second" for tier in usage.tiers)
