"""What one process has to tell the store in the next step: settled permits, and what answers told."""

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
class Answered:
    """A settled permit with the moment of its settling on this process's clock."""

    permit: str
    cost: int
    outcome: Outcome
    moment: float
    wait: float = 0.0
    is_guess: bool = False
    took: float = 0.0

    def at(self, now: float) -> Settlement:
        """The same as the store wants to hear it."""
        return Settlement(
            permit=self.permit,
            outcome=self.outcome,
            age=_age(self.moment, now),
            wait=int(self.wait * SECOND + 0.5),
            cost=self.cost,
            is_guess=self.is_guess,
            took=int(self.took * SECOND),
        )


@dataclass(slots=True)
class Outbox:
    """Collected between two steps; moments are seconds on the process's monotonic clock."""

    settled: list[Answered] = field(default_factory=list)
    again: list[Settlement] = field(default_factory=list)  #: permits that a store which lost them is told again
    counted_again: list[BucketCount] = field(default_factory=list)
    part: int = 0  #: the part of our tiers that headers named last, in millionths; 0: none
    refuted: set[int] = field(default_factory=set)  #: limits that headers named and later answers refuted
    _named: dict[tuple[int, int], tuple[AdvertisedLimit, float]] = field(default_factory=dict)  #: by limit and window
    _sightings: dict[int, tuple[int, float]] = field(default_factory=dict)
    _delays: list[tuple[float, bool]] = field(default_factory=list)  #: seconds, and whether its connection stood

    @property
    def names_limits(self) -> bool:
        """Whether limits were named of which none is configured."""
        return bool(self._named)

    def __bool__(self) -> bool:
        return bool(self.settled or self.again or self._named or self.refuted)

    @property
    def holds_refusal(self) -> bool:
        """Whether the store has yet to hear of a refusal."""
        return any(each.outcome in (Outcome.REFUSED, Outcome.HELD) for each in self.settled)

    def took(self, permit: Permit, answered: float) -> None:
        """How long an answer was under way, where that is known."""
        if permit.sent is not None:
            self._delays.append((answered - permit.sent, not permit.is_first))

    def named(self, limits: Sequence[AdvertisedLimit], now: float) -> None:
        """An answer that came now named these limits; the last word on each counts."""
        self._named.update(((each.limit, each.window), (each, now)) for each in limits)

    def told_part(self, millionths: int, refuted: Iterable[int] = ()) -> None:
        """Headers named limits that are this part of ours; the least counts, until what named it is refuted."""
        if refuted:
            self.refuted.update(refuted)
            self.part = 0
        if millionths:
            self.part = min(self.part or millionths, millionths)

    def sighted(self, tier: int, used: int, sent: float) -> None:
        """The server told that so many places of a tier were taken, for a request sent at that moment."""
        self._sightings[tier] = (used, sent)

    def added_to(self, ask: ExchangeRequest, now: float) -> ExchangeRequest:
        """The ask that tells all of it."""
        delays = [seconds for seconds, _ in self._delays]
        return replace(
            ask,
            told=self.part,
            refuted=tuple(sorted(self.refuted)),
            delays=LatencySummary(
                answers=len(delays),
                standing=sum(stood for _, stood in self._delays),
                quickest=int(min(delays, default=0.0) * SECOND),
                together=int(sum(delays) * SECOND),
            ),
            sightings=tuple(
                ReportedUsage(tier=tier, used=used, age=_age(sent, now))
                for tier, (used, sent) in self._sightings.items()
            ),
            named=tuple(replace(each, age=_age(moment, now)) for each, moment in self._named.values()),
            counted=tuple(self.counted_again),
            settled=(*self.again, *(each.at(now) for each in self.settled)),
        )

    def put_back(self, untold: "Outbox") -> None:
        """What could not be told comes before what came since. Of others and of delays, the next answers tell anew."""
        self.settled = [*untold.settled, *self.settled]
        self.again = [*untold.again, *self.again]
        self.counted_again = self.counted_again or untold.counted_again  # added up there: never told twice
        self._named = untold._named | self._named
        if untold.part and not self.refuted:
            self.told_part(untold.part)
        self.refuted |= untold.refuted


def _age(moment: float, now: float) -> int:
    return int(max(0.0, now - moment) * SECOND)
