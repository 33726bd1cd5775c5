"""When permits may start: by the tiers, by the number of those in flight, and a few above what is only guessed.

Pure, in microseconds. `lua/` does the same in Redis.
"""

from collections.abc import Sequence
from itertools import accumulate, takewhile

from import_pipeline.ratelimit.algorithm import bucketed_window, trials
from import_pipeline.ratelimit.algorithm.adaptation import effective_window, latency_credit, part
from import_pipeline.ratelimit.algorithm.api_permits import ApiPermits
from import_pipeline.ratelimit.algorithm.state import POLL, WHOLE, ApiState
from import_pipeline.ratelimit.algorithm.window_log import WindowLog
from import_pipeline.ratelimit.protocol import ExchangeRequest

CLEARLY = 8  #: a trial is only made while its place is not free for such a part of the window
Tier = tuple[int, int, bool]  #: the amount and the window in effect, and whether it is counted in hundredths


def in_effect(shared: ApiState, ask: ExchangeRequest, kept_back: Sequence[tuple[int, int]], now: int) -> list[Tier]:
    """The tiers' amounts and windows as what was learned changes them, and which are counted in hundredths.

    A request that costs more than what is left of an amount needs the whole window to itself. Nothing is given back of
    windows that are tried out.
    """
    portion, credited = part(shared), latency_credit(shared, now)
    dearest = max(each.cost for each in ask.wanted)
    tiers = [(amount, effective_window(window, credited), window) for amount, window in ask.tiers]
    tiers += [(amount, window, window) for amount, window in kept_back]
    return [
        (max(dearest, amount * portion // WHOLE), effective, bucketed_window.is_bucketed(amount, window))
        for amount, effective, window in tiers
    ]


def first_starts(book: ApiPermits, tiers: Sequence[Tier], costs: Sequence[int], now: int) -> list[int]:
    """The earliest moment for each of so many permits: when the last of its places is free in every tier."""
    starts = [now] * len(costs)
    last_places = [end - 1 for end in accumulate(costs)]
    for amount, window, is_long in tiers:
        asked = last_places[-1] + 1
        if is_long:
            moments = bucketed_window.starts(book.shared.counts, amount, window, asked, now)
        else:
            moments = place_starts(book.stamps, amount, window, asked, now)
        starts = [max(start, moments[last]) for start, last in zip(starts, last_places, strict=True)]
    return starts


def place_starts(stamps: WindowLog, amount: int, window: int, asked: int, now: int) -> list[int]:
    """The earliest moment for each of so many places: a window after the n-th newest before it.

    One that can still arrive comes free a window from now at the earliest.
    """
    reach = min(asked, amount)
    newest = stamps.newest(amount - reach, reach)
    starts = [now] * (reach - len(newest)) + [max(now, min(moment, now) + window) for moment in reversed(newest)]
    return starts + [now + window] * (asked - reach)


def first_landings(book: ApiPermits, most: int, guessed: int, asked: int, now: int) -> list[int]:
    """When each of so many permits may start by the number of those in flight: nobody knows when one will land.

    A configured number is counted by itself, a guessed one by the places that are taken later than now.
    """
    free = max(0, most - book.flying.later_than(now)) if most else asked
    if guessed:
        free = min(free, max(0, guessed - book.stamps.later_than(now)))
    return [now] * min(free, asked) + [now + POLL] * (asked - min(free, asked))


def above(book: ApiPermits, ask: ExchangeRequest, tiers: Sequence[Tier], granted: int, now: int) -> list[int]:
    """The starts of trials: of requests that only a guess holds back, either about the rate or about those in flight.

    They follow those that are granted anyway, and are remembered as trials.
    """
    shared, costs, soon = book.shared, [each.cost for each in ask.wanted], now + ask.look_ahead
    slots = first_landings(book, ask.concurrent, shared.at_once, len(costs), now)
    by_tier = [first_starts(book, [tier], costs, now)[granted] for tier in tiers]
    is_late = max(by_tier, default=now) > soon
    if (slots[granted] > soon) == is_late:
        return []
    if is_late:
        kind, places = rate_guess(shared, ask, by_tier, now)
        more, height = trials.room(shared, shared.rate_rise, kind)
        if shared.at_once:  # so that their number cannot be the reason if they are refused
            more = min(more, max(1, shared.at_once - 1) - book.stamps.later_than(now))
        tiers = raised(shared, ask, tiers, kind, height * max(costs))
    else:
        kind, places = trials.IN_FLIGHT, 1
        more, height = trials.room(shared, shared.flight_rise, kind)
        slots = first_landings(book, ask.concurrent, shared.at_once + height, len(costs), now)
    starts = list(map(max, first_starts(book, tiers, costs, now), slots))[granted : granted + max(0, more)]
    starts = list(takewhile(lambda start: start <= soon, starts))
    for each, start in zip(ask.wanted[granted:], starts, strict=False):
        shared.trials[each.permit] = [kind, start + each.lifetime, places * each.cost]
    return starts


def rate_guess(shared: ApiState, ask: ExchangeRequest, by_tier: Sequence[int], now: int) -> tuple[int, int]:
    """The guess that holds a request back, and what it rises by for each place of a trial; NO_GUESS: none does.

    Shortly before a place comes free, the server may have freed it already, and an answer would show nothing.
    """
    latest = by_tier.index(max(by_tier))
    if latest >= len(ask.tiers):
        return trials.NO_GUESS, 0  # a place that is kept back
    amount, window = ask.tiers[latest]
    if by_tier[latest] - now < window // CLEARLY:
        return trials.NO_GUESS, 0
    if shared.learned < min(WHOLE, shared.told):
        return trials.PART, -(-WHOLE // amount)
    is_found = any(tier[1] == window and tier[4] for tier in shared.found)
    return (window, 1) if is_found else (trials.NO_GUESS, 0)


def raised(shared: ApiState, ask: ExchangeRequest, tiers: Sequence[Tier], kind: int, height: int) -> list[Tier]:
    """The tiers in effect for trials: the one that is tried, or all, by so many places; never above the configured."""
    higher = list(tiers)
    for number, (configured, window) in enumerate(ask.tiers):
        amount, effective, is_long = tiers[number]
        if kind == trials.PART:
            most = max(amount, configured * shared.told // WHOLE)
            higher[number] = min(most, amount + height), effective, is_long
        elif kind == window:
            higher[number] = amount + height, effective, is_long
    return higher
