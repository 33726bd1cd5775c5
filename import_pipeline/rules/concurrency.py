"""The number of detail requests in flight: as many as the limits allow within the latency of an answer."""

import math
from collections.abc import Sequence

from limits import RateLimitItem

#: A factor above permit rate x latency, so that the burst at a window's start is used.
HEADROOM = 2.0
#: A tolerated factor above the wanted number, so that a varying latency does not change it.
SURPLUS = 1.5
#: The weight of the newest answer in the running mean of latencies.
NEWEST = 0.2


def in_flight(tiers: Sequence[RateLimitItem], latency_seconds: float, *, least: int, most: int) -> int:
    """Return permit rate x latency with some headroom, at most `most`, and at least `least` even if that is more.

    Without tiers return `least`, since the API's capacity is unknown.
    """
    if not tiers:
        return least
    rate = min(tier.amount / tier.get_expiry() for tier in tiers)
    return max(least, min(most, math.ceil(HEADROOM * rate * latency_seconds)))


def within(wanted: int, room: int | None) -> int:
    """Return the wanted number, at most the process's connections (`room`; None: any number), and at least one."""
    return wanted if room is None else max(1, min(wanted, room))


def too_many(fetchers: int, wanted: int) -> bool:
    """Return True if one fetcher should stop: answers come so fast that permits are the bottleneck."""
    return fetchers > SURPLUS * wanted


def mean_latency(mean_seconds: float | None, newest_seconds: float) -> float:
    """Return the running mean including the newest answer."""
    return newest_seconds if mean_seconds is None else mean_seconds + NEWEST * (newest_seconds - mean_seconds)
