"""Tiers: from the notation of `limits` to the few that bind, and the number of requests that may be in flight."""

from collections.abc import Iterable, Sequence
from typing import Self

from limits import RateLimitItem, parse_many

from import_pipeline.errors import SettingError
from import_pipeline.settings.parsers import split_limits

EXPECTED = "tiers such as '500/20 second; 2000/100 second; 20 concurrent', or nothing"


class Tiers(tuple[RateLimitItem, ...]):
    """The tiers that bind, shortest window first; all that reckons with windows takes them as any tuple.

    `concurrent`: how many requests may be in flight at once over all processes; 0: any number.
    """

    concurrent: int

    def __new__(cls, tiers: Iterable[RateLimitItem] = (), concurrent: int = 0) -> Self:
        """Tuples are made here."""
        made = super().__new__(cls, tiers)
        made.concurrent = concurrent
        return made


def parse_tiers(text: str, name: str = "limits") -> Tiers:
    """The tiers in a text, shortest window first, without those that another one implies; empty: no limit.

    Raises SettingError, in which `name` says where the text stands.
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
    """Sorted by window, without every tier that another one implies."""
    binding: list[RateLimitItem] = []
    for tier in sorted(set(tiers), key=lambda each: (each.get_expiry(), each.amount)):
        if not any(implies(other, tier) for other in binding):
            binding = [other for other in binding if not implies(tier, other)] + [tier]
    return tuple(binding)


def implies(one: RateLimitItem, other: RateLimitItem) -> bool:
    """Whether the one has no room wherever the other has none, whoever else takes places in both.

    Several windows of a shorter tier would cover a longer one too, but only where nobody with wider limits shares the
    api: they fill the longer window while the shorter one has room.
    """
    return one.get_expiry() >= other.get_expiry() and one.amount <= other.amount
