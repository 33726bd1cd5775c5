"""All that can be chosen about a demo API, in one table; texts are in the command line's notation."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from source_api.drift import Drift, Order, parse_drift
from source_api.errors import BadOption
from source_api.faults import Fault, parse_fault
from source_api.throttle import Tier, WindowKind, parse_tiers

MOST_ITEMS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a demo API serves and how it behaves. Raises BadOption for a value that means nothing.

    items            how many items an empty database is seeded with
    seed             the same seed gives the same items and the same jitter
    database         the SQLite file; None keeps the items in memory. Rows that are there are kept.
    limits           tiers in the notation of `limits`, counted per client; "none" for no limit
    window           how the server counts
    delay_before_ms  wait before the arrival is counted
    delay_after_ms   wait between the arrival and the answer
    jitter_ms        at most this much more, uniformly, at each of the two
    faults           trouble on request (see source_api.faults)
    order            which items come first in the list
    drifts           changes of the list while it is paged (see source_api.drift)
    token            answers 401 unless `Authorization: Bearer TOKEN` comes along; None asks for none
    rate_headers     send X-RateLimit-Limit, -Remaining and -Reset
    retry_after      send Retry-After with a 429
    """

    items: int = 400
    seed: int = 1
    database: Path | None = None
    limits: str = "500/20 second; 2000/100 second"
    window: WindowKind = WindowKind.SLIDING
    delay_before_ms: float = 0
    delay_after_ms: float = 0
    jitter_ms: float = 0
    faults: tuple[str, ...] = ()
    order: Order = Order.OLDEST
    drifts: tuple[str, ...] = ()
    token: str | None = None
    rate_headers: bool = True
    retry_after: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.items <= MOST_ITEMS:
            raise BadOption("--items", expected=f"a number from 0 to {MOST_ITEMS:,}", got=self.items)
        for name in ("delay_before", "delay_after", "jitter"):
            # Written this way round, it refuses nan too.
            if not 0 <= (value := getattr(self, f"{name}_ms")) < float("inf"):
                raise BadOption(f"--{name.replace('_', '-')}", expected="milliseconds, 0 or more", got=value)
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token):
            # The value is a secret, even a wrong one.
            raise BadOption("--token", expected="printable ASCII characters", got="something else")
        _ = self.tiers, self.parsed_faults, self.parsed_drifts

    @cached_property
    def tiers(self) -> tuple[Tier, ...]:
        """The limits, parsed."""
        return parse_tiers(self.limits)

    @cached_property
    def parsed_faults(self) -> tuple[Fault, ...]:
        """The faults, parsed."""
        return tuple(map(parse_fault, self.faults))

    @cached_property
    def parsed_drifts(self) -> tuple[Drift, ...]:
        """The changes, parsed."""
        return tuple(map(parse_drift, self.drifts))

    def __repr__(self) -> str:
        """Leaves the token out: reprs end up in logs."""
        return f"Options(items={self.items}, limits={self.limits!r}, window={self.window.value!r})"
