"""All options of a demo API in one table. Texts use the command line's notation."""

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
    """The items of a demo API and its behaviour. Raises BadOption for an invalid value.

    items            number of items in a new database
    seed             the same seed gives the same items and the same jitter
    database         the SQLite file; None keeps the items in memory. Existing rows are kept.
    limits           tiers in the notation of `limits`, counted per client; "none" for no limit
    window           kind of rate-limit window
    delay_before_ms  wait before the request is counted
    delay_after_ms   wait between counting and the response
    jitter_ms        random addition to both waits, at most this much, uniformly distributed
    faults           planned faults (see source_api.faults)
    order            order of the list
    drifts           planned changes of the list during paging (see source_api.drift)
    token            answer 401 without `Authorization: Bearer TOKEN`; None requires no token
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
            # This form of the comparison also refuses nan.
            if not 0 <= (value := getattr(self, f"{name}_ms")) < float("inf"):
                raise BadOption(f"--{name.replace('_', '-')}", expected="milliseconds, 0 or more", got=value)
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token):
            # Even an invalid value is a secret.
            raise BadOption("--token", expected="printable ASCII characters", got="something else")
        _ = self.tiers, self.parsed_faults, self.parsed_drifts

    @cached_property
    def tiers(self) -> tuple[Tier, ...]:
        """The parsed limits."""
        return parse_tiers(self.limits)

    @cached_property
    def parsed_faults(self) -> tuple[Fault, ...]:
        """The parsed faults."""
        return tuple(map(parse_fault, self.faults))

    @cached_property
    def parsed_drifts(self) -> tuple[Drift, ...]:
        """The parsed changes."""
        return tuple(map(parse_drift, self.drifts))

    def __repr__(self) -> str:
        """Leave out the token, since reprs end up in logs."""
        return f"Options(items={self.items}, limits={self.limits!r}, window={self.window.value!r})"
