"""The moments at which permits may start: by the tiers, by the concurrency, and trials above guessed limits.

Pure, in microseconds. `stores/lua/55_start_times.lua` does the same in Redis.
"""

from collections.abc import Sequence
from itertools import accumulate, takewhile

from import_pipeline.ratelimit.algorithm import bucketed_window, trials
from import_pipeline.ratelimit.algorithm.adaptation import allowed_fraction, effective_window, latency_credit
from import_pipeline.ratelimit.algorithm.api_permits import ApiPermits
from import_pipeline.ratelimit.algorithm.state import POLL, WHOLE, ApiState
from import_pipeline.ratelimit.algorithm.window_log import WindowLog
from import_pipeline.ratelimit.protocol import ExchangeRequest

CLEARLY = 8  #: a trial needs a unit that stays taken for at least this part (1/8) of the window
EffectiveTier = tuple[int, int, bool]  #: amount, window, and if it is bucketed


def effective_tiers(
    state: ApiState, request: ExchangeRequest, probe_units: Sequence[tuple[int, int]], now: int
) -> list[EffectiveTier]:
    """Return the tiers after adaptation, followed by the rows that keep a unit back.

    A permit that costs more than the adapted amount needs the whole window to itself. No latency is credited in windows
    that are in doubt.
    """
    fraction, credited = allowed_fraction(state), latency_credit(state, now)
    dearest = max(each.cost for each in request.wanted)
    tiers = [(amount, effective_window(window, credited), window) for amount, window in request.tiers]
    tiers += [(amount, window, window) for amount, window in probe_units]
    return [
        (max(dearest, amount * fraction // WHOLE), effective, bucketed_window.is_bucketed(amount, window))
        for amount, effective, window in tiers
    ]


def starts_by_tiers(permits: ApiPermits, tiers: Sequence[EffectiveTier], costs: Sequence[int], now: int) -> list[int]:
    """Return the earliest start of each permit: when the last of its units is free in every tier."""
    starts = [now] * len(costs)
    last_units = [end - 1 for end in accumulate(costs)]
    for amount, window, bucketed in tiers:
        count = last_units[-1] + 1
        if bucketed:
            moments = bucketed_window.unit_starts(permits.state.bucket_counts, amount, window, count, now)
        else:
            moments = unit_starts(permits.log, amount, window, count, now)
        starts = [max(start, moments[last]) for start, last in zip(starts, last_units, strict=True)]
    return starts


def unit_starts(log: WindowLog, amount: int, window: int, count: int, now: int) -> list[int]:
    """Return the earliest start of each of the next `count` units: a window after the n-th newest entry before it.

    A request that can still arrive counts as of now.
    """
    reach = min(count, amount)
    newest = log.newest(amount - reach, reach)
    starts = [now] * (reach - len(newest)) + [max(now, min(moment, now) + window) for moment in reversed(newest)]
    return starts + [now + window] * (count - reach)


def starts_by_concurrency(permits: ApiPermits, concurrent: int, inferred: int, count: int, now: int) -> list[int]:
    """Return the earliest start of each permit by the number of requests in flight; those beyond it poll.

    A configured concurrency has a log of its own. For an inferred one, the units later than now count.
    """
    free = max(0, concurrent - permits.in_flight.later_than(now)) if concurrent else count
    if inferred:
        free = min(free, max(0, inferred - permits.log.later_than(now)))
    return [now] * min(free, count) + [now + POLL] * (count - min(free, count))


def trial_starts(
    permits: ApiPermits, request: ExchangeRequest, tiers: Sequence[EffectiveTier], granted: int, now: int
) -> list[int]:
    """Return the starts of trials, and remember them: requests that only a guessed rate or concurrency holds back.

    They follow the `granted` permits.
    """
    state, costs, soon = permits.state, [each.cost for each in request.wanted], now + request.look_ahead
    slots = starts_by_concurrency(permits, request.concurrent, state.inferred_concurrency, len(costs), now)
    by_tier = [starts_by_tiers(permits, [tier], costs, now)[granted] for tier in tiers]
    is_late = max(by_tier, default=now) > soon
    if (slots[granted] > soon) == is_late:
        return []
    if is_late:
        kind, units = limiting_guess(state, request, by_tier, now)
        more, height = trials.allowance(state, state.rate_rise, kind)
        if state.inferred_concurrency:  # stay below it, so that it cannot be the reason of a refusal
            more = min(more, max(1, state.inferred_concurrency - 1) - permits.log.later_than(now))
        tiers = raised_tiers(state, request, tiers, kind, height * max(costs))
    else:
        kind, units = trials.IN_FLIGHT, 1
        more, height = trials.allowance(state, state.flight_rise, kind)
        inferred = state.inferred_concurrency + height
        slots = starts_by_concurrency(permits, request.concurrent, inferred, len(costs), now)
    starts = list(map(max, starts_by_tiers(permits, tiers, costs, now), slots))[granted : granted + max(0, more)]
    starts = list(takewhile(lambda start: start <= soon, starts))
    for each, start in zip(request.wanted[granted:], starts, strict=False):
        state.trials[each.permit] = [kind, start + each.lifetime, units * each.cost]
    return starts


def limiting_guess(state: ApiState, request: ExchangeRequest, by_tier: Sequence[int], now: int) -> tuple[int, int]:
    """Return the kind of the guess that holds a request back, and its rise per unit of a trial; NO_GUESS: none.

    Shortly before a unit comes free, the server may have freed it already, and an answer would prove nothing.
    """
    latest = by_tier.index(max(by_tier))
    if latest >= len(request.tiers):
        return trials.NO_GUESS, 0  # a unit that is kept back
    amount, window = request.tiers[latest]
    if by_tier[latest] - now < window // CLEARLY:
        return trials.NO_GUESS, 0
    if state.learned_fraction < min(WHOLE, state.advertised_fraction):
        return trials.FRACTION, -(-WHOLE // amount)
    is_inferred = any(tier[1] == window and tier[4] for tier in state.inferred_tiers)
    return (window, 1) if is_inferred else (trials.NO_GUESS, 0)


def raised_tiers(
    state: ApiState, request: ExchangeRequest, tiers: Sequence[EffectiveTier], kind: int, height: int
) -> list[EffectiveTier]:
    """Return the tiers for trials, higher by `height` units: the one on trial, or all, but never above configured."""
    higher = list(tiers)
    for number, (configured, window) in enumerate(request.tiers):
        amount, effective, bucketed = tiers[number]
        if kind == trials.FRACTION:
            most = max(amount, configured * state.advertised_fraction // WHOLE)
            higher[number] = min(most, amount + height), effective, bucketed
        elif kind == window:
            higher[number] = amount + height, effective, bucketed
    return higher
