"""The options of a shape in one table."""

from dataclasses import dataclass

from source_api.errors import BadOption
from source_api.throttle import Tier, parse_tiers

MOST_ITEMS = 100_000


@dataclass(frozen=True, kw_only=True)
class ShapeOptions:
    """The records of a shape and its rules. Raises BadOption for an invalid value.

    items          number of records at the start
    limits         tiers in the notation of `limits`; empty for the shape's own limits
    delay_ms       wait before each answer
    page           the most items of a page
    cap            the results of a search after which no page is served (`search`)
    children       the most children of a record; record n has n modulo (children + 1) (`children`)
    token_seconds  life of an access token (`oauth`)
    """

    items: int = 40
    limits: str = ""
    delay_ms: float = 0
    page: int = 100
    cap: int = 10_000
    children: int = 3
    token_seconds: float = 60

    def __post_init__(self) -> None:
        if not 0 <= self.items <= MOST_ITEMS:
            raise BadOption("--items", expected=f"a number from 0 to {MOST_ITEMS:,}", got=self.items)
        for name in ("page", "cap"):
            if (value := getattr(self, name)) < 1:
                raise BadOption(f"--{name}", expected="a number from 1", got=value)
        for name in ("children", "delay_ms", "token_seconds"):
            # This form of the comparison also refuses nan.
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise BadOption(f"--{name.removesuffix('_ms').replace('_', '-')}", expected="0 or more", got=value)
        _ = self.tiers("1/1 second")

    def tiers(self, own: str) -> tuple[Tier, ...]:
        """Return the parsed limits, by default the shape's own."""
        return parse_tiers(self.limits or own)
