"""Guesses about an api rise again: now and then a request goes above them, and its answer decides.

A guess is a lowered part of the configured amounts, a tier that was found by being refused, or a number of requests in
flight. Additive increase: each trial that is admitted raises its guess by what it took, and lets one more trial go at
once, so that a guess that is far too low doubles in a few round trips. Multiplicative decrease is what refusals do
elsewhere. A trial that is refused changes no guess: it stops trials for 100 requests, then for 200, 400 and so on.
Nothing rises above what is configured. Pure, on the shared state. `lua/` does the same in Redis.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState
from import_pipeline.ratelimit.protocol import SECOND

FIRST_REST, LONGEST_REST = 100, 1600  #: requests without a trial after one was refused
LASTS = 86_400 * SECOND  #: how long a tier is believed in after the last sign of it
FLIGHTS_LAST = 3600 * SECOND  #: the same for a number in flight
FIRST_FLIGHTS = 20  #: the same before the first trial of how many may be in flight
LEAST_STEP = 4  #: trials at once are an eighth of the guess at most, but so many are always allowed
FORGOTTEN_AT = 8  #: a found tier that was raised to so many times its first amount was none
#: Trials at once (of a number in flight: one more than it was raised by); requests until the next trial; the last rest;
#: trials that were admitted since (of a number in flight: since it was raised).
STEP, REST, GAP, RAISED = range(4)
#: Kinds of trials; any other number is the window of the found tier that is tried.
NO_GUESS, IN_FLIGHT, PART = -2, -1, 0


def forget(shared: ApiState, now: int) -> None:
    """Drop trials whose requests can no longer arrive, and a number in flight that has long held nobody up."""
    if now >= shared.crowd_at + FLIGHTS_LAST:
        shared.at_once = 0
    if shared.trials:
        shared.trials = {permit: trial for permit, trial in shared.trials.items() if trial[1] > now}


def forget_all(shared: ApiState) -> None:
    """Drop all trials, and what they led to: the guesses that they were about are void."""
    shared.trials, shared.rate_rise, shared.flight_rise = {}, [1, 0, 0, 0], [1, 0, 0, 0]


def are_due(shared: ApiState) -> bool:
    """Whether there is a guess that may be tried."""
    is_rate_guessed = shared.learned < WHOLE or any(tier[4] for tier in shared.found)
    is_due = is_rate_guessed and not shared.rate_rise[REST]
    return is_due or (shared.at_once > 0 and not shared.flight_rise[REST])


def room(shared: ApiState, rise: Sequence[int], kind: int) -> tuple[int, int]:
    """How many more may go above a guess than are under way, and how far above it all of them are."""
    if kind == NO_GUESS or rise[REST] > 0:
        return 0, 0
    under_way = sum((trial[0] == IN_FLIGHT) == (kind == IN_FLIGHT) for trial in shared.trials.values())
    most = 1 if kind == IN_FLIGHT else rise[STEP]
    return max(0, most - under_way), most


def granted(shared: ApiState, permits: int) -> None:
    """So many requests are let go: the rests end some day."""
    for rise in (shared.rate_rise, shared.flight_rise):
        rise[REST] = max(0, rise[REST] - permits)


def admitted(shared: ApiState, permit: str, now: int) -> None:
    """If this was a trial, the guess rises."""
    trial = shared.trials.pop(permit, None)
    if trial is None:
        return
    kind, _, places = trial
    if kind == IN_FLIGHT:
        _one_more(shared)
    elif kind == PART:
        shared.learned, shared.raised = min(WHOLE, shared.learned + places), kind
        _higher(shared.rate_rise, shared.learned // places)
    else:
        for tier in shared.found:
            if tier[1] == kind and tier[4]:
                tier[0], tier[2], shared.raised = tier[0] + places, now, kind
                _higher(shared.rate_rise, tier[0])
        shared.found = [tier for tier in shared.found if not tier[4] or tier[0] < FORGOTTEN_AT * tier[4]]


def refused(shared: ApiState, permit: str, *, again: bool) -> bool:
    """Whether this was a trial: then it was too early, and nothing else is learned from it.

    `again`: it is no request that was in flight when the last pause began.
    """
    trial = shared.trials.pop(permit, None)
    if trial is None:
        return False
    if again:
        _too_early_of(shared, trial[0])
        if trial[0] != IN_FLIGHT and not shared.flight_rise[GAP]:
            shared.at_once = 0  # few were in flight: the rate explains the refusals
    return True


def _one_more(shared: ApiState) -> None:
    """A trial of the number in flight was admitted: as many in a row as may be in flight raise it by one.

    A single one shows little, since another may have been answered just before.
    """
    rise = shared.flight_rise
    rise[RAISED] += 1
    if shared.at_once and rise[RAISED] >= shared.at_once:
        shared.at_once += 1
        rise[STEP], rise[RAISED] = rise[STEP] + 1, 0
        if rise[STEP] > LEAST_STEP:
            rise[GAP] = 0
        if shared.at_once >= shared.crowded_at and not rise[GAP]:
            shared.at_once = 0  # so many were refused together, so their number was not the reason


def _higher(rise: list[int], guess: int) -> None:
    """A trial was admitted. After many the guess was far off, and further trials need not wait for long."""
    rise[STEP] = min(rise[STEP] + 1, max(LEAST_STEP, guess // 8))
    rise[RAISED] += 1
    if rise[RAISED] > max(LEAST_STEP, guess // 8):
        rise[GAP] = 0


def _too_early_of(shared: ApiState, kind: int) -> None:
    _too_early(shared.flight_rise if kind == IN_FLIGHT else shared.rate_rise)
    if kind == IN_FLIGHT:
        shared.flight_rise[RAISED] = 0


def _too_early(rise: list[int]) -> None:
    rise[GAP] = min(LONGEST_REST, 2 * rise[GAP]) or FIRST_REST
    rise[STEP], rise[REST] = 1, rise[GAP]


def lowered(shared: ApiState) -> None:
    """A guess about the rate was made or lowered: the first one is tried at once, later ones after a rest."""
    if shared.rate_rise[GAP] or shared.rate_rise[RAISED]:
        _too_early(shared.rate_rise)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A request that was refused, the first one for a while."""

    moment: int
    sent: int
    beside: int  #: others that were in flight at any time since it was sent
    in_flight: int  #: those of them that still are


def explain(shared: ApiState, refusal: Refusal, taken: Callable[[int], int]) -> bool:
    """Whether a refusal is explained by a guess other than that about the rate, or by one that was raised too far.

    The server counts in the order of arrival: it may admit a trial, and refuse one that was sent before it. And a trial
    may have been admitted because places came free there a little earlier than we knew. Then that guess is lowered to
    what was in flight or taken by now, but not below where it began to rise.
    Where all the places in flight that are believed in were used, there may be fewer (see `judge`). That is assumed
    once; if it was no help, the rate is to blame.
    """
    if shared.trials:
        for kind in {trial[0] for trial in shared.trials.values()}:
            _too_early_of(shared, kind)
        shared.trials = {}
        return True
    shared.crowd = 0
    is_full = shared.at_once > 0 and refusal.beside + 1 >= shared.at_once
    if is_full and shared.flight_rise[STEP] > 1:
        shared.at_once = max(1, shared.at_once + 1 - shared.flight_rise[STEP])
        shared.crowd_at = refusal.moment
        _too_early_of(shared, IN_FLIGHT)
        return True
    is_blamed_again, shared.blamed = shared.blamed > 0, int(is_full and not shared.blamed)
    if not is_full or is_blamed_again:
        before = shared.rate_rise[RAISED]
        correct(shared, lambda window: taken(window) - 1)
        if shared.rate_rise[RAISED] != before:
            _too_early(shared.rate_rise)
            return True
    shared.crowd, shared.crowd_at = refusal.beside + 1, refusal.sent
    shared.crowd_till = (refusal.sent + refusal.moment) // 2
    shared.landed = refusal.beside - refusal.in_flight
    return shared.blamed > 0


def correct(shared: ApiState, taken: Callable[[int], int]) -> None:
    """Requests that were in flight together with trials are refused: a found tier has no more places than are taken.

    The server counts in the order of arrival, so trials may have been admitted in their place. It is not lowered
    below where it began to rise.
    """
    for tier in shared.found:
        if tier[1] == shared.raised and tier[4]:
            doubtful = max(0, min(shared.rate_rise[RAISED], tier[0] - 1, tier[0] - taken(tier[1])))
            tier[0], shared.rate_rise[RAISED] = tier[0] - doubtful, shared.rate_rise[RAISED] - doubtful


def landed(shared: ApiState, moment: int, took: int) -> None:
    """A request was admitted that was in flight then, if it was answered after that moment and sent before."""
    in_flight = shared.crowd_at <= moment and moment - took <= shared.crowd_till
    if shared.crowd and shared.probing == 1 and in_flight:
        shared.landed += 1


def judge(shared: ApiState) -> None:
    """All who were in flight are answered: their number may be the reason, if not all of them were admitted."""
    crowd, shared.crowd, shared.rate_rise[RAISED] = shared.crowd, 0, 0
    if shared.landed < crowd > 1:
        fewer = shared.landed or crowd // 2
        shared.at_once = min(fewer, max(1, shared.at_once - 1)) if shared.at_once else fewer
        shared.crowded_at = max(crowd, shared.at_once + LEAST_STEP)
        shared.flight_rise[STEP], shared.flight_rise[RAISED] = 1, 0
        shared.flight_rise[REST] = shared.flight_rise[GAP] or FIRST_FLIGHTS
