"""Tiers: from the notation of `limits` to the few that bind."""

from collections.abc import Sequence

from limits import RateLimitItem, parse_many

from import_pipeline.errors import SettingError

EXPECTED = "tiers such as '500/20 second; 2000/100 second', or nothing"


def parse_tiers(text: str, name: str = "limits") -> tuple[RateLimitItem, ...]:
    """The tiers in a text, shortest window first, without those that another one implies; empty: no limit.

    Raises SettingError, in which `name` says where the text stands.
    """
    if not text.strip():
        return ()
    try:
        tiers = parse_many(text.strip().rstrip(";,|"))
    except ValueError as error:
        raise SettingError(name, EXPECTED, repr(text)) from error
    if any(tier.amount < 1 for tier in tiers):
        raise SettingError(name, f"{EXPECTED}, each of at least one request", repr(text))
    return normalised(tiers)


def normalised(tiers: Sequence[RateLimitItem]) -> tuple[RateLimitItem, ...]:
    """Sorted by window, without every tier that another one implies.

    A tier is implied by one that allows no more in a window at least as long.
    """
    binding: list[RateLimitItem] = []
    for tier in sorted(set(tiers), key=lambda each: (-each.get_expiry(), each.amount)):
        if not binding or tier.amount < binding[-1].amount:
            binding.append(tier)
    return tuple(reversed(binding))
