"""The least time that so many requests take under the tiers: the measure of every import, and its ETA."""

import math
from collections import deque
from collections.abc import Sequence

from limits import RateLimitItem

Tier = tuple[int, float]  #: amount, window in seconds


def minimum_seconds(requests: int, tiers: Sequence[RateLimitItem], history: Sequence[float] = ()) -> float:
    """Seconds from now to the last of so many requests, each sent at the first moment that all tiers allow.

    `history`: when earlier requests were sent, in seconds from now (zero or less); without it all windows are empty.
    """
    if requests < 1 or not tiers:
        return 0.0
    pairs = sorted((float(tier.get_expiry()), tier.amount) for tier in tiers)
    plain = [(amount, window) for window, amount in pairs]
    longest = plain[-1][1]
    recent = sorted(moment for moment in history if moment > -longest)
    return _last_send(requests, plain, recent) if recent else _from_empty(requests - 1, plain)


def ideal_ratio(actual_seconds: float, ideal_seconds: float) -> float | None:
    """How many times the least possible time it took; None where there is no least time."""
    return actual_seconds / ideal_seconds if ideal_seconds > 0 else None


def eta(
    requests: int, tiers: Sequence[RateLimitItem], history: Sequence[float] = (), per_second: float | None = None
) -> float:
    """Seconds until so many more requests are answered: what the limits need, or the pace seen so far if slower."""
    at_that_pace = requests / per_second if per_second else 0.0
    return max(minimum_seconds(requests, tiers, history), at_that_pace)


#: Requests that are simulated one by one; further ones are taken to go at the slowest tier's rate.
MOST_SIMULATED = 10_000
#: Steps that the longest window's history is told in: finer ones change the forecast by less than it can be right.
STEPS = 200


def remaining_seconds(
    requests: int,
    tiers: Sequence[RateLimitItem],
    history: Sequence[float] = (),
    *,
    paused_seconds: float = 0.0,
    per_second: float | None = None,
) -> float:
    """`eta` for a display: cheap for any number of requests, and with the pause that has to pass first."""
    if requests < 1:
        return 0.0
    step = max((tier.get_expiry() for tier in tiers), default=0) / STEPS
    coarse = [math.ceil(moment / step) * step - paused_seconds for moment in history] if step else []
    simulated = min(requests, MOST_SIMULATED)
    rate = min((tier.amount / tier.get_expiry() for tier in tiers), default=math.inf)
    needed = minimum_seconds(simulated, tiers, coarse) + (requests - simulated) / rate
    return paused_seconds + max(needed, requests / per_second if per_second else 0.0)


def fitted(moments: Sequence[float], used: Sequence[tuple[float, int]], *, all_sent: bool = True) -> list[float]:
    """The history that fits what the limiter counts: `used` places per window, shortest window first.

    `moments` are the sends that are known of, in seconds from now (zero or less). Where the limiter counts more, others
    are spread evenly over the time in which they must have been sent. Where it counts fewer, some are left out unless
    all of them are known to have been sent: then the count is only a moment old.
    """
    known = sorted((moment for moment in moments if moment <= 0), reverse=True)
    result: list[float] = []
    newest, counted = 0.0, 0
    for window, count in used:
        band = [moment for moment in known if -window < moment <= newest]
        missing = max(0, count - counted) - len(band)
        if missing < 0 and not all_sent:
            wanted = len(band) + missing
            band = [band[place * len(band) // wanted] for place in range(wanted)]
        elif missing > 0:
            # What is not known of yet in the shortest window is mostly what was sent last and is not stored.
            oldest = band[0] if band and not result and newest == 0.0 else -window
            band += [newest + (oldest - newest) * place / missing for place in range(missing)]
        result += band
        newest, counted = -window, max(counted, count)
    return sorted(result)


def _from_empty(index: int, tiers: Sequence[Tier]) -> float:
    """When the request of that index (from 0) is sent, all windows being empty at 0."""
    if not tiers:
        return 0.0
    (amount, window), inner = tiers[-1], tiers[:-1]
    if index < amount:
        return _from_empty(index, inner)
    # Where all shorter windows are empty again when the longest frees its first place, all repeats from there.
    last = _from_empty(amount - 1, inner)
    if all(last + length <= window for _, length in inner):
        rounds, rest = divmod(index, amount)
        return rounds * window + _from_empty(rest, inner)
    return _last_send(index + 1, tiers, [])


def _last_send(requests: int, tiers: Sequence[Tier], history: Sequence[float]) -> float:
    """The same, step by step; requests that are sent at one moment are one step."""
    moments = deque((moment, 1) for moment in history)
    #: For each tier: the sends that are in its window, as (moment, count), and their number.
    logs = [deque(moments) for _ in tiers]
    counts = [len(history)] * len(tiers)
    now = 0.0
    while True:
        room = requests
        for place, (amount, window) in enumerate(tiers):
            log = logs[place]
            while log and log[0][0] + window <= now:
                counts[place] -= log.popleft()[1]
            room = min(room, amount - counts[place])
        if room > 0:
            requests -= room
            if not requests:
                return now
            for place, log in enumerate(logs):
                log.append((now, room))
                counts[place] += room
        # The next moment at which every full tier has a place again.
        now = max(
            (_frees_at(logs[place], counts[place] - amount, window) for place, (amount, window) in enumerate(tiers)),
            default=now,
        )


def _frees_at(log: Sequence[tuple[float, int]], surplus: int, window: float) -> float:
    """When a window holds fewer than its amount, `surplus` being how many it holds above; zero and less: now."""
    if surplus < 0:
        return float("-inf")
    for moment, count in log:
        surplus -= count
        if surplus < 0:
            return moment + window
    raise AssertionError("a window holds no fewer than were counted")
