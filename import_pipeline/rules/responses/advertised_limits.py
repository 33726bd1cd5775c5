"""Match the limits in headers to the configured tiers, and to the requests that they apply to.

A header names a limit of the requested resource, and often not its window. So a limit without a window belongs to the
tier whose window its reset fits. A limit that most of our requests do not receive does not
apply to them.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from import_pipeline.rules.responses.rate_limit_headers import TRANSIT, LimitStatus

#: A reset is rounded to whole seconds, so it may be this much too late.
RESET_ROUNDING = timedelta(seconds=1) + TRANSIT
#: Windows in seconds that servers use, configured or not.
COMMON_WINDOWS = (1, 60, 3600, 86_400)
#: A reset shorter than this part (1/10) of a window rather belongs to a shorter window, until a longer reset is seen.
LATE_PART = 10
#: A limit with neither window nor reset is at least this fraction of the tier that it belongs to.
SMALLEST_SHARE = 0.5
#: Answers that count when kinds of requests are compared; older ones fade.
RECENT_ANSWERS = 20
#: Answers of other kinds without a limit, before it holds for one kind only: this number, and this part (1/10) of it.
LEAST_SILENT, SILENT_PART = 3, 10
MOST_LIMITS = 32

Tier = tuple[int, float]  #: amount and seconds
Limit = tuple[int, timedelta | None]  #: a limit as named, and its window


def tier_of(status: LimitStatus, tiers: Sequence[Tier]) -> int | None:
    """Return the index of the tier that a limit belongs to; None if it belongs to none."""
    if not status.limit:
        return None
    if status.window is not None:
        same = [index for index, (_, seconds) in enumerate(tiers) if seconds == status.window.total_seconds()]
        return same[0] if same else None
    if status.reset is not None and status.reset > timedelta(0):
        index, amounts = _by_reset(status.reset.total_seconds(), tiers), [amount for amount, _ in tiers]
        # A limit equal to a configured amount belongs to that tier, whichever window the reset fits.
        return amounts.index(status.limit) if index is not None and status.limit in amounts else index
    return _by_amount(status.limit, tiers)


def _by_reset(reset: float, tiers: Sequence[Tier]) -> int | None:
    """Return the tier with the shortest window that lasts until the reset, a second more or less."""
    rounding = RESET_ROUNDING.total_seconds()
    windows = sorted({*(seconds for _, seconds in tiers), *COMMON_WINDOWS})
    fitting = [window for window in windows if reset <= window + rounding]
    ours = [index for index, (_, seconds) in enumerate(tiers) if fitting and seconds in fitting]
    if not ours:
        return None
    index = min(ours, key=lambda each: tiers[each][1])
    window = tiers[index][1]
    shorter = [each for each in fitting if each < window and reset <= each + TRANSIT.total_seconds()]
    return None if shorter and reset * LATE_PART <= window else index


def _by_amount(limit: int, tiers: Sequence[Tier]) -> int | None:
    """Return the tier nearest in amount; of two equally near ones the larger."""
    near = [index for index, (amount, _) in enumerate(tiers) if limit >= SMALLEST_SHARE * amount]
    distance = lambda index: (round(abs(math.log(limit / tiers[index][0])), 9), -tiers[index][0])  # noqa: E731
    return min(near, key=distance, default=None)


def used_of(statuses: Iterable[LimitStatus], tiers: Sequence[Tier]) -> dict[int, int]:
    """Return the units that a server counts as used, by the index of the tier that they belong to."""
    used = {}
    for each in statuses:
        for index, (amount, seconds) in enumerate(tiers):
            same_window = each.window is None or each.window.total_seconds() == seconds
            lasts = each.reset is None or each.reset <= timedelta(seconds=seconds) + RESET_ROUNDING
            if each.limit == amount and each.remaining is not None and same_window and lasts:
                used[index] = max(0, amount - each.remaining)
    return used


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The consequences of the limits in an answer."""

    holding: tuple[LimitStatus, ...]  #: limits that hold for all requests
    refuted: frozenset[int]  #: limits that were believed until now and do not hold
    fraction: float | None  #: of our tiers, by all limits that hold; None if none was ever named


NOTHING_NAMED = Findings(holding=(), refuted=frozenset(), fraction=None)


@dataclass(slots=True)
class NamedLimit:
    """The history of a limit that headers named."""

    resets: dict[str, timedelta] = field(default_factory=dict)  #: the longest seen, by the kind of request
    silent: int = 0  #: answers since, to kinds of requests that never named it


@dataclass(slots=True)
class Advertised:
    """The limits in one process's answers, by the kind of request (a resource, or list and detail)."""

    tiers: Sequence[Tier] = ()
    _answers: dict[str, float] = field(default_factory=dict)  #: recent ones by kind
    _recent: float = 0.0  #: their sum
    _named: dict[Limit, NamedLimit] = field(default_factory=dict)
    _in_use: dict[int, Limit] = field(default_factory=dict)  #: by the tier's index, the limit named last
    _refuted: set[Limit] = field(default_factory=set)
    _muddled: set[int] = field(default_factory=set)  #: limits that came with a higher remaining

    def update(self, kind: str, statuses: Sequence[LimitStatus]) -> Findings:
        """Take over the limits in the answer to a request of that kind."""
        self._count(kind)
        if not statuses and not self._named:  # a server that names no limits
            return NOTHING_NAMED
        self._muddled |= {each.limit for each in statuses if each.limit and (each.remaining or 0) > each.limit}
        for each in statuses:
            if each.limit:
                self._remember(kind, each.limit, each)
        refuted = self._drop_refuted()
        holding = tuple(each for each in statuses if (each.limit, each.window) not in self._refuted)
        for each in holding:
            index = tier_of(self._with_longest_reset(kind, each), self.tiers)
            if each.limit and index is not None and self._is_clear(each, index):
                before, _ = self._in_use.get(index, (each.limit, None))
                if each.limit > before:
                    refuted.add(before)  # the server names more for the same window now
                self._in_use[index] = (each.limit, each.window)
        fractions = [limit / self.tiers[index][0] for index, (limit, _) in self._in_use.items()]
        fraction = min(1.0, *fractions) if fractions else None
        return Findings(holding=holding, refuted=frozenset(refuted), fraction=fraction)

    def used(self, statuses: Iterable[LimitStatus]) -> dict[int, int]:
        """Return the units that a server counts as used, by the index of the tier, without implausible ones.

        A server may name the limit of one tier with the remaining of another.
        """
        return used_of([each for each in statuses if each.limit not in self._muddled], self.tiers)

    def _is_clear(self, status: LimitStatus, index: int) -> bool:
        """Return True if a limit certainly belongs to that tier.

        A limit above the tier's amount may also be that of a longer tier near the end of its window.
        """
        amount, seconds = self.tiers[index]
        is_longest = all(seconds >= other for _, other in self.tiers)
        return status.window is not None or is_longest or (status.limit or 0) <= amount

    def _count(self, kind: str) -> None:
        self._answers[kind] = self._answers.get(kind, 0.0) + 1
        self._recent += 1
        if self._recent > RECENT_ANSWERS:
            self._answers = {each: count / 2 for each, count in self._answers.items() if count > 0.1}
            self._recent = sum(self._answers.values())
        for named in self._named.values():
            named.silent += kind not in named.resets

    def _remember(self, kind: str, limit: int, status: LimitStatus) -> None:
        named = self._named.setdefault((limit, status.window), NamedLimit())
        named.resets[kind] = max(status.reset or timedelta(0), named.resets.get(kind, timedelta(0)))
        while len(self._named) > MOST_LIMITS:
            del self._named[next(iter(self._named))]

    def _with_longest_reset(self, kind: str, status: LimitStatus) -> LimitStatus:
        """Return a limit with the longest reset that this kind has seen: near a window's end it is short."""
        named = self._named.get((status.limit or 0, status.window))
        return status if status.reset is None or named is None else replace(status, reset=named.resets[kind])

    def _drop_refuted(self) -> set[int]:
        """Find the limits that most requests do not receive; return those that were believed until now."""
        refuted = {limit for limit, named in self._named.items() if self._is_refuted(limit[0], named)}
        newly = {limit for limit, _ in refuted - self._refuted}
        self._refuted = refuted
        self._in_use = {index: limit for index, limit in self._in_use.items() if limit not in refuted}
        return newly

    def _is_refuted(self, limit: int, named: NamedLimit) -> bool:
        counts = [(count, kind in named.resets) for kind, count in self._answers.items()]
        naming = sum(count for count, names in counts if names)
        silent = sum(count for count, names in counts if not names)
        return silent > naming and named.silent >= max(LEAST_SILENT, limit / SILENT_PART)
