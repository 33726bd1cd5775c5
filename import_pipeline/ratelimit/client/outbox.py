"""The outbox: what one process reports to the store in the next exchange, besides the permits that it requests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.protocol import (
    SECOND,
    AdvertisedLimit,
    BucketCount,
    ExchangeRequest,
    LatencySummary,
    Outcome,
    ReportedUsage,
    Settlement,
)


@dataclass(frozen=True, slots=True)
class SettledPermit:
    """A settled permit. `moment` is on this process's monotonic clock, `wait` and `latency` are in seconds."""

    permit: str
    cost: int
    outcome: Outcome
    moment: float
    wait: float = 0.0
    is_guess: bool = False
    latency: float = 0.0

    def at(self, now: float) -> Settlement:
        """Return the settlement as the store expects it, with an age."""
        return Settlement(
            permit=self.permit,
            outcome=self.outcome,
            age=_age(self.moment, now),
            wait=int(self.wait * SECOND + 0.5),
            cost=self.cost,
            is_guess=self.is_guess,
            latency=int(self.latency * SECOND),
        )


@dataclass(slots=True)
class Outbox:
    """Reports collected between two exchanges. Moments are seconds on the process's monotonic clock."""

    settled: list[SettledPermit] = field(default_factory=list)
    replayed: list[Settlement] = field(default_factory=list)  #: permits for a store that lost them
    bucket_counts: list[BucketCount] = field(default_factory=list)  #: the same of bucketed tiers
    fraction: int = 0  #: the fraction of our tiers that headers named last, in millionths; 0: none
    refuted: set[int] = field(default_factory=set)  #: limits that headers named and later answers refuted
    _advertised: dict[tuple[int, int], tuple[AdvertisedLimit, float]] = field(default_factory=dict)  #: by limit, window
    _usage: dict[int, tuple[int, float]] = field(default_factory=dict)  #: tier -> units, moment of sending
    _latencies: list[tuple[float, bool]] = field(default_factory=list)  #: seconds, and if the connection was warm

    @property
    def names_limits(self) -> bool:
        """True if headers named limits of an API without configured ones."""
        return bool(self._advertised)

    def __bool__(self) -> bool:
        return bool(self.settled or self.replayed or self._advertised or self.refuted)

    @property
    def holds_refusal(self) -> bool:
        """True if the store does not know of a refusal yet."""
        return any(each.outcome in (Outcome.REFUSED, Outcome.HELD) for each in self.settled)

    def add_latency(self, permit: Permit, answered: float) -> None:
        """Add the latency of an answer, if the moment of sending is known."""
        if permit.sent is not None:
            self._latencies.append((answered - permit.sent, not permit.is_first))

    def add_limits(self, limits: Sequence[AdvertisedLimit], now: float) -> None:
        """Add the limits that an answer named just now; the last one for each limit and window counts."""
        self._advertised.update(((each.limit, each.window), (each, now)) for each in limits)

    def add_fraction(self, millionths: int, refuted: Iterable[int] = ()) -> None:
        """Add the fraction of our limits that headers named. The lowest counts, until its limit is refuted."""
        if refuted:
            self.refuted.update(refuted)
            self.fraction = 0
        if millionths:
            self.fraction = min(self.fraction or millionths, millionths)

    def add_usage(self, tier: int, used: int, sent: float) -> None:
        """Add the units of a tier that the server counted for a request sent at that moment."""
        self._usage[tier] = (used, sent)

    def added_to(self, request: ExchangeRequest, now: float) -> ExchangeRequest:
        """Return an exchange request that carries all reports."""
        latencies = [seconds for seconds, _ in self._latencies]
        return replace(
            request,
            advertised_fraction=self.fraction,
            refuted_limits=tuple(sorted(self.refuted)),
            latencies=LatencySummary(
                samples=len(latencies),
                warm_samples=sum(is_warm for _, is_warm in self._latencies),
                lowest_latency=int(min(latencies, default=0.0) * SECOND),
                latency_sum=int(sum(latencies) * SECOND),
            ),
            reported_usage=tuple(
                ReportedUsage(tier=tier, used=used, age=_age(sent, now)) for tier, (used, sent) in self._usage.items()
            ),
            advertised_limits=tuple(replace(each, age=_age(moment, now)) for each, moment in self._advertised.values()),
            bucket_counts=tuple(self.bucket_counts),
            settled=(*self.replayed, *(each.at(now) for each in self.settled)),
        )

    def put_back(self, unsent: "Outbox") -> None:
        """Put reports that could not be sent before the newer ones.

        Usage and latencies are dropped: the next answers bring new ones.
        """
        self.settled = [*unsent.settled, *self.settled]
        self.replayed = [*unsent.replayed, *self.replayed]
        self.bucket_counts = self.bucket_counts or unsent.bucket_counts  # the store adds them up: never send both
        self._advertised = unsent._advertised | self._advertised
        if unsent.fraction and not self.refuted:
            self.add_fraction(unsent.fraction)
        self.refuted |= unsent.refuted


def _age(moment: float, now: float) -> int:
    return int(max(0.0, now - moment) * SECOND)
