"""The permits as a strategy of `limits`, for other programs that use its interface. Nothing in this package uses it.

    limiter = ResponseClockedRateLimiter(storage_from_string("permits+redis://localhost:6379"))
    limiter.hit(parse("500/20 second"), "my-api")

`hit()` does not see the answer, so a hit counts from its own moment: an exact sliding window for all processes, on the
store's clock. Only `Limiter` takes the latency of requests into account.
"""

import os
import time
from typing import Protocol, cast

from limits import RateLimitItem
from limits.storage import Storage
from limits.strategies import STRATEGIES, RateLimiter
from limits.util import WindowStats

from import_pipeline.ratelimit.protocol import (
    SECOND,
    ExchangeReply,
    ExchangeRequest,
    Outcome,
    PermitRequest,
    Settlement,
    windows_of,
)

NAME = "response-clocked"


class _Store(Protocol):
    def exchange(self, request: ExchangeRequest) -> ExchangeReply: ...


class ResponseClockedRateLimiter(RateLimiter):
    """Needs a storage under one of the schemes `permits+redis`, `permits+rediss`, `permits+unix`, `permits+sqlite`."""

    def __init__(self, storage: Storage) -> None:
        if not hasattr(storage, "exchange"):
            # The class that strategies of `limits` raise for a storage that they cannot use.
            raise NotImplementedError(f"{type(storage).__name__} is no permit store: open one as permits+redis://…")
        super().__init__(storage)
        self._store = cast(_Store, storage)
        self._process = os.urandom(6).hex()
        self._count = 0

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Take `cost` units, or none; returns True if they were free."""
        names = []
        for _ in range(cost):
            self._count += 1
            names.append(f"{self._process}{self._count:x}")
        wanted = tuple(PermitRequest(permit=name, lifetime=SECOND) for name in names)
        granted = len(self._exchange(item, identifiers, wanted=wanted).starts)
        outcome = Outcome.ANSWERED if granted == cost else Outcome.UNUSED
        settled = tuple(Settlement(permit=name, outcome=outcome) for name in names[:granted])
        if settled:
            self._exchange(item, identifiers, settled=settled)
        return granted == cost

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Return True if `cost` units are free."""
        return self.get_window_stats(item, *identifiers).remaining >= cost

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return the free units, and the latest moment at which the window is empty if no more are taken."""
        (used,) = self._exchange(item, identifiers).used
        return WindowStats(time.time() + (item.get_expiry() if used else 0), max(0, item.amount - used))

    def _exchange(
        self,
        item: RateLimitItem,
        identifiers: tuple[str, ...],
        *,
        wanted: tuple[PermitRequest, ...] = (),
        settled: tuple[Settlement, ...] = (),
    ) -> ExchangeReply:
        return self._store.exchange(
            ExchangeRequest(
                api=item.key_for(*identifiers),
                process=self._process,
                tiers=windows_of([item]),
                wanted=wanted,
                settled=settled,
                look_ahead=0,
                count_units=True,
            )
        )


def register() -> None:
    """Register the strategy with `limits`, for tools that choose strategies by name."""
    strategies = cast(dict[str, type[RateLimiter]], STRATEGIES)
    strategies[NAME] = ResponseClockedRateLimiter
