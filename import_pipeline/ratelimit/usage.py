"""What all processes did together under an api's limits, as a person wants to see it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from import_pipeline.ratelimit.protocol import SECOND, ExchangeReply
from import_pipeline.ratelimit.tiers import Tiers

MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class TierUsage:
    """How much of a tier is taken."""

    amount: int
    seconds: int
    used: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The api's counters, shared by all processes and ever growing: callers take differences."""

    hits: int  #: answers of "too many requests"
    sleeps: int  #: intervals in which a wanted permit was refused, over all processes
    slept_seconds: float  #: their sum, each second counted once; pauses included
    paused_until: datetime | None  #: the shared pause's end (aware, UTC)
    tiers: tuple[TierUsage, ...] = ()
    is_learned: bool = False  #: whether the tiers are not configured, but were named by the server or found out
    concurrent: int | None = None  #: how many requests may be in flight over all processes; None: any number
    in_flight: int | None = None  #: how many are, where their number is limited
    allowed_fraction: float = 1.0  #: of the tiers' amounts that is in use: below 1, the server was found to grant less


def usage_of(result: ExchangeReply, tiers: Tiers, now: datetime) -> Usage:
    """What an exchange told that was asked to count."""
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
    """The tiers as one would configure them; empty where there are none."""
    return "; ".join(f"{tier.amount}/{tier.seconds} second" for tier in usage.tiers)
