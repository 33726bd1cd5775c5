"""The shortest possible time for a number of requests under the tiers: the benchmark of every import, and its ETA."""

import math
from collections import deque
from collections.abc import Mapping, Sequence

from limits import RateLimitItem

from import_pipeline.rules.endpoints import shares

Tier = tuple[int, float]  #: amount, window in seconds


def minimum_seconds(requests: int, tiers: Sequence[RateLimitItem], history: Sequence[float] = ()) -> float:
    """Return the seconds from now to the last request, if each is sent at the first moment that all tiers allow.

    `history`: the moments of earlier requests, in seconds from now (zero or less). Without it all windows are empty.
    """
    if requests < 1 or not tiers:
        return 0.0
    pairs = sorted((float(tier.get_expiry()), tier.amount) for tier in tiers)
    plain = [(amount, window) for window, amount in pairs]
    longest = plain[-1][1]
    recent = sorted(moment for moment in history if moment > -longest)
    return _last_send(requests, plain, recent) if recent else _from_empty(requests - 1, plain)


def split_units(units: int, counts: Mapping[str, int]) -> dict[str, int]:
    """Return endpoint -> units of requests, in the proportion of the counts; all are the default's without counts."""
    return {endpoint: round(units * share) for endpoint, share in shares(counts).items()}


def minimum_by_endpoint(units: Mapping[str, int], limits: Mapping[str, Sequence[RateLimitItem]]) -> float:
    """Return `minimum_seconds` of an API whose endpoints have limits of their own: that of the slowest one."""
    return max((minimum_seconds(count, limits.get(endpoint, ())) for endpoint, count in units.items()), default=0.0)


def ideal_ratio(actual_seconds: float, ideal_seconds: float) -> float | None:
    """Return the actual time as a multiple of the shortest possible one; None if that is zero."""
    return actual_seconds / ideal_seconds if ideal_seconds > 0 else None


def eta(
    requests: int, tiers: Sequence[RateLimitItem], history: Sequence[float] = (), per_second: float | None = None
) -> float:
    """Return the seconds until that many more requests are answered, by the limits or the pace so far if slower."""
    by_pace = requests / per_second if per_second else 0.0
    return max(minimum_seconds(requests, tiers, history), by_pace)


#: Requests that are simulated one by one; further ones are assumed to go at the slowest tier's rate.
MOST_SIMULATED = 10_000
#: Steps of the longest window into which the history is rounded. Finer ones would not make the forecast more accurate.
STEPS = 200


def remaining_seconds(
    requests: int,
    tiers: Sequence[RateLimitItem],
    history: Sequence[float] = (),
    *,
    paused_seconds: float = 0.0,
    per_second: float | None = None,
) -> float:
    """Return `eta` for a display: cheap for any number of requests, and including the rest of a pause."""
    if requests < 1:
        return 0.0
    step = max((tier.get_expiry() for tier in tiers), default=0) / STEPS
    coarse = [math.ceil(moment / step) * step - paused_seconds for moment in history] if step else []
    simulated = min(requests, MOST_SIMULATED)
    rate = min((tier.amount / tier.get_expiry() for tier in tiers), default=math.inf)
    needed = minimum_seconds(simulated, tiers, coarse) + (requests - simulated) / rate
    return paused_seconds + max(needed, requests / per_second if per_second else 0.0)


def fitted(moments: Sequence[float], used: Sequence[tuple[float, int]], *, all_sent: bool = True) -> list[float]:
    """Return a history that fits the limiter's counts: `used` units per window, shortest window first.

    `moments` are the known sends, in seconds from now (zero or less). If the limiter counts more, the others are spread
    evenly over the time in which they must have been sent. If it counts fewer, some are left out, unless `all_sent`:
    then the count is only slightly out of date.
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
            # Unknown requests in the shortest window are mostly the latest ones, which are not stored yet.
            oldest = band[0] if band and not result and newest == 0.0 else -window
            band += [newest + (oldest - newest) * place / missing for place in range(missing)]
        result += band
        newest, counted = -window, max(counted, count)
    return sorted(result)


def _from_empty(index: int, tiers: Sequence[Tier]) -> float:
    """Return the moment of the request with that index (from 0), if all windows are empty at 0."""
    if not tiers:
        return 0.0
    (amount, window), inner = tiers[-1], tiers[:-1]
    if index < amount:
        return _from_empty(index, inner)
    # If all shorter windows are empty again when the longest frees its first unit, everything repeats from there.
    last = _from_empty(amount - 1, inner)
    if all(last + length <= window for _, length in inner):
        rounds, rest = divmod(index, amount)
        return rounds * window + _from_empty(rest, inner)
    return _last_send(index + 1, tiers, [])


def _last_send(requests: int, tiers: Sequence[Tier], history: Sequence[float]) -> float:
    """Return the moment of the last request by simulation; requests sent at one moment are one step."""
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
        # The next moment at which every full tier has room again.
        now = max(
            (_frees_at(logs[place], counts[place] - amount, window) for place, (amount, window) in enumerate(tiers)),
            default=now,
        )


def _frees_at(log: Sequence[tuple[float, int]], surplus: int, window: float) -> float:
    """Return the moment at which a window has room; `surplus` is its count above the tier's amount."""
    if surplus < 0:
        return float("-inf")
    for moment, count in log:
        surplus -= count
        if surplus < 0:
            return moment + window
    raise AssertionError("a window holds no fewer than were counted")
