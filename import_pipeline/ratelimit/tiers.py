"""Tiers: parsed from the notation of `limits`, without redundant ones; and the limit of requests in flight."""

from collections.abc import Iterable, Sequence
from typing import Self

from limits import RateLimitItem, parse_many

from import_pipeline.errors import SettingError
from import_pipeline.settings.parsers import split_limits

EXPECTED = "tiers such as '500/20 second; 2000/100 second; 20 concurrent', or nothing"


class Tiers(tuple[RateLimitItem, ...]):
    """The effective tiers as a tuple, shortest window first.

    `concurrent`: the most requests in flight over all processes; 0: any number.
    """

    concurrent: int

    def __new__(cls, tiers: Iterable[RateLimitItem] = (), concurrent: int = 0) -> Self:
        """Create the tuple."""
        made = super().__new__(cls, tiers)
        made.concurrent = concurrent
        return made


def parse_tiers(text: str, name: str = "limits") -> Tiers:
    """Return the tiers in a text, shortest window first, without those that another one implies; empty: no limit.

    Raises SettingError with `name`, the setting that holds the text.
    """
    if not text.strip():
        return Tiers()
    try:
        amounts, concurrent = split_limits(text)
        tiers = parse_many(amounts) if amounts else []
    except ValueError as error:
        raise SettingError(name, EXPECTED, repr(text)) from error
    if any(tier.amount < 1 for tier in tiers):
        raise SettingError(name, f"{EXPECTED}, each of at least one request", repr(text))
    return Tiers(normalised(tiers), concurrent)


def normalised(tiers: Sequence[RateLimitItem]) -> tuple[RateLimitItem, ...]:
    """Return the tiers sorted by window, without those that another one implies."""
    binding: list[RateLimitItem] = []
    for tier in sorted(set(tiers), key=lambda each: (each.get_expiry(), each.amount)):
        if not any(implies(other, tier) for other in binding):
            binding = [other for other in binding if not implies(tier, other)] + [tier]
    return tuple(binding)


def implies(one: RateLimitItem, other: RateLimitItem) -> bool:
    """Return True if one tier is full whenever the other is, whatever other processes send.

    Several windows of a shorter tier may cover a longer one, too. But a process with wider limits can fill the longer
    window while the shorter one has room.
    """
    return one.get_expiry() >= other.get_expiry() and one.amount <= other.amount
