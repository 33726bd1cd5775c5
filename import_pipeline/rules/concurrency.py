"""How many detail requests should be in flight: as many as the limits allow in the time that an answer takes."""

import math
from collections.abc import Sequence

from limits import RateLimitItem

#: Above permit rate x latency, so that the burst at a window's start is used.
HEADROOM = 2.0
#: As many times what is wanted is put up with: latency that wavers moves nobody.
SURPLUS = 1.5
#: The weight of the newest answer in the running mean of latencies.
NEWEST = 0.2


def in_flight(tiers: Sequence[RateLimitItem], latency_seconds: float, *, least: int, most: int) -> int:
    """Permit rate x latency with some headroom, within bounds.

    Never fewer than `least`, which counts more than `most`. Without tiers `least`: nobody knows what the API bears.
    """
    if not tiers:
        return least
    rate = min(tier.amount / tier.get_expiry() for tier in tiers)
    return max(least, min(most, math.ceil(HEADROOM * rate * latency_seconds)))


def within(wanted: int, room: int | None) -> int:
    """As many as are wanted and as this process may have connections; at least one. No room told: any number."""
    return wanted if room is None else max(1, min(wanted, room))


def too_many(fetchers: int, wanted: int) -> bool:
    """Whether one of them should go, now that answers come so fast that permits are what is waited for."""
    return fetchers > SURPLUS * wanted


def mean_latency(mean_seconds: float | None, newest_seconds: float) -> float:
    """The running mean with the newest answer in it."""
    return newest_seconds if mean_seconds is None else mean_seconds + NEWEST * (newest_seconds - mean_seconds)
