"""Which of our tiers a limit in a header speaks of, and for which requests it holds.

A header speaks of the resource that was asked for, and of one window that is often not told. So a limit without a
window belongs to the tier whose window its reset fits, and a limit that only the smaller part of our requests hears of
does not hold for the others.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from import_pipeline.rules.responses.rate_limit_headers import TRANSIT, LimitStatus

#: What a reset may be told too late: it is told in whole seconds.
RESET_ROUNDING = timedelta(seconds=1) + TRANSIT
#: Windows in seconds that servers use, whether or not they are configured.
COMMON_WINDOWS = (1, 60, 3600, 86_400)
#: A reset shorter than this part of a window rather belongs to a shorter window, until a longer reset is seen.
LATE_PART = 10
#: Of a limit that comes with neither window nor reset: it is at least this part of the tier that it speaks of.
LEAST_SHARE = 0.5
#: Answers that count when kinds of requests are compared; older ones fade.
RECENT_ANSWERS = 20
#: Answers of other kinds that do not name a limit, before it holds for one kind only: these, or a part of the limit.
LEAST_SILENT, SILENT_PART = 3, 10
MOST_LIMITS = 32

Tier = tuple[int, float]  #: amount and seconds
Limit = tuple[int, timedelta | None]  #: a limit as told, and its window


def tier_of(told: LimitStatus, tiers: Sequence[Tier]) -> int | None:
    """Return the place of the tier that a limit speaks of; None: of none of these."""
    if not told.limit:
        return None
    if told.window is not None:
        same = [place for place, (_, seconds) in enumerate(tiers) if seconds == told.window.total_seconds()]
        return same[0] if same else None
    if told.reset is not None and told.reset > timedelta(0):
        place, amounts = _by_reset(told.reset.total_seconds(), tiers), [amount for amount, _ in tiers]
        # It is as configured, whichever of our windows the reset belongs to.
        return amounts.index(told.limit) if place is not None and told.limit in amounts else place
    return _by_amount(told.limit, tiers)


def _by_reset(reset: float, tiers: Sequence[Tier]) -> int | None:
    """The shortest window that is not over before the reset, a second more or less."""
    rounding = RESET_ROUNDING.total_seconds()
    windows = sorted({*(seconds for _, seconds in tiers), *COMMON_WINDOWS})
    fitting = [window for window in windows if reset <= window + rounding]
    ours = [place for place, (_, seconds) in enumerate(tiers) if fitting and seconds in fitting]
    if not ours:
        return None
    place = min(ours, key=lambda each: tiers[each][1])
    window = tiers[place][1]
    shorter = [each for each in fitting if each < window and reset <= each + TRANSIT.total_seconds()]
    return None if shorter and reset * LATE_PART <= window else place


def _by_amount(limit: int, tiers: Sequence[Tier]) -> int | None:
    """The nearest in amount; of two equally near the larger."""
    near = [place for place, (amount, _) in enumerate(tiers) if limit >= LEAST_SHARE * amount]
    distance = lambda place: (round(abs(math.log(limit / tiers[place][0])), 9), -tiers[place][0])  # noqa: E731
    return min(near, key=distance, default=None)


def part_of(told: Iterable[LimitStatus], tiers: Sequence[Tier]) -> float | None:
    """Return the least part of our tiers that the limits told by a server are; None: it tells nothing of them.

    More than ours is 1.0: it never raises what is configured.
    """
    places = [(each.limit, tier_of(each, tiers)) for each in told]
    parts = [limit / tiers[place][0] for limit, place in places if limit and place is not None]
    return min(1.0, *parts) if parts else None


def used_of(told: Iterable[LimitStatus], tiers: Sequence[Tier]) -> dict[int, int]:
    """Return the places that a server counts as taken, by the place of the tier that it speaks of."""
    used = {}
    for each in told:
        for place, (amount, seconds) in enumerate(tiers):
            same_window = each.window is None or each.window.total_seconds() == seconds
            lasts = each.reset is None or each.reset <= timedelta(seconds=seconds) + RESET_ROUNDING
            if each.limit == amount and each.remaining is not None and same_window and lasts:
                used[place] = max(0, amount - each.remaining)
    return used


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the limits in an answer come to."""

    holding: tuple[LimitStatus, ...]  #: those that hold for all requests
    refuted: frozenset[int]  #: limits that were believed until now and do not hold
    part: float | None  #: of our tiers, as all limits that hold name it; None: none was ever named


@dataclass(slots=True)
class Naming:
    """A limit that headers named."""

    resets: dict[str, timedelta] = field(default_factory=dict)  #: the longest seen, by the kind of request
    silent: int = 0  #: answers since, to kinds of requests that never named it


@dataclass(slots=True)
class Advertised:
    """The limits that one process's answers named, by the kind of request (a resource, or list and detail)."""

    tiers: Sequence[Tier] = ()
    _answers: dict[str, float] = field(default_factory=dict)  #: recent ones by kind
    _named: dict[Limit, Naming] = field(default_factory=dict)
    _in_use: dict[int, Limit] = field(default_factory=dict)  #: by the tier's place, what was named last
    _refuted: set[Limit] = field(default_factory=set)
    _muddled: set[int] = field(default_factory=set)  #: limits that came with more remaining than there can be

    def hear(self, kind: str, told: Sequence[LimitStatus]) -> Findings:
        """Take in what the answer to a request of that kind named."""
        self._count(kind)
        self._muddled |= {each.limit for each in told if each.limit and (each.remaining or 0) > each.limit}
        for each in told:
            if each.limit:
                self._remember(kind, each.limit, each)
        refuted = self._drop_refuted()
        holding = tuple(each for each in told if (each.limit, each.window) not in self._refuted)
        for each in holding:
            place = tier_of(self._with_longest_reset(kind, each), self.tiers)
            if each.limit and place is not None and self._is_clear(each, place):
                before, _ = self._in_use.get(place, (each.limit, None))
                if each.limit > before:
                    refuted.add(before)  # the server names more for the same window now
                self._in_use[place] = (each.limit, each.window)
        parts = [limit / self.tiers[place][0] for place, (limit, _) in self._in_use.items()]
        return Findings(holding=holding, refuted=frozenset(refuted), part=min(1.0, *parts) if parts else None)

    def used(self, told: Iterable[LimitStatus]) -> dict[int, int]:
        """Return the places that a server counts as taken, by the place of the tier, as far as it can be believed.

        A server may name one tier's limit with another one's remaining.
        """
        return used_of([each for each in told if each.limit not in self._muddled], self.tiers)

    def _is_clear(self, told: LimitStatus, place: int) -> bool:
        """Return whether a limit surely speaks of that tier.

        One above the tier's amount may as well be a longer tier's near the end of its window.
        """
        amount, seconds = self.tiers[place]
        is_longest = all(seconds >= other for _, other in self.tiers)
        return told.window is not None or is_longest or (told.limit or 0) <= amount

    def _count(self, kind: str) -> None:
        self._answers[kind] = self._answers.get(kind, 0.0) + 1
        if sum(self._answers.values()) > RECENT_ANSWERS:
            self._answers = {each: count / 2 for each, count in self._answers.items() if count > 0.1}
        for naming in self._named.values():
            naming.silent += kind not in naming.resets

    def _remember(self, kind: str, limit: int, told: LimitStatus) -> None:
        naming = self._named.setdefault((limit, told.window), Naming())
        naming.resets[kind] = max(told.reset or timedelta(0), naming.resets.get(kind, timedelta(0)))
        while len(self._named) > MOST_LIMITS:
            del self._named[next(iter(self._named))]

    def _with_longest_reset(self, kind: str, told: LimitStatus) -> LimitStatus:
        """The same with the longest reset that this kind has seen: near a window's end it is short."""
        naming = self._named.get((told.limit or 0, told.window))
        return told if told.reset is None or naming is None else replace(told, reset=naming.resets[kind])

    def _drop_refuted(self) -> set[int]:
        """Find the limits that most requests hear nothing of; return those that were believed until now."""
        refuted = {limit for limit, naming in self._named.items() if self._is_refuted(limit[0], naming)}
        newly = {limit for limit, _ in refuted - self._refuted}
        self._refuted = refuted
        self._in_use = {place: limit for place, limit in self._in_use.items() if limit not in refuted}
        return newly

    def _is_refuted(self, limit: int, naming: Naming) -> bool:
        counts = [(count, kind in naming.resets) for kind, count in self._answers.items()]
        named = sum(count for count, names in counts if names)
        silent = sum(count for count, names in counts if not names)
        return silent > named and naming.silent >= max(LEAST_SILENT, limit / SILENT_PART)
