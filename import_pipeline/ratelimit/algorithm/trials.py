"""Trials: now and then a request goes above a guessed limit, and its answer decides if the guess rises.

A guess is a lowered fraction of the configured amounts, a tier inferred from refusals, or an inferred concurrency.
Additive increase: each admitted trial raises its guess by its units, and allows one more trial at once, so that a guess
that is far too low doubles in a few round trips. Multiplicative decrease is what refusals do elsewhere. A refused trial
changes no guess: it stops trials for 100 requests, then for 200, 400 and so on. No guess rises above the configured
limits. Pure, on the shared state. `stores/lua/25_trials.lua` does the same in Redis.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState
from import_pipeline.ratelimit.protocol import SECOND

FIRST_REST, LONGEST_REST = 100, 1600  #: requests without a trial after a refused one
FIRST_FLIGHT_REST = 20  #: the same before the first trial of an inferred concurrency
TIER_LIFETIME = 86_400 * SECOND  #: how long an inferred tier is believed after the last sign of it
CONCURRENCY_LIFETIME = 3600 * SECOND  #: the same for an inferred concurrency
LEAST_STEP = 4  #: trials at once are at most an eighth of the guess, but this number is always allowed
FORGOTTEN_AT = 8  #: an inferred tier that rose to this multiple of its first amount is dropped
#: Fields of a rise. STEP: trials at once (of a concurrency: one more than it rose by). REST: requests until the next
#: trial. GAP: the last rest. RAISED: admitted trials since (of a concurrency: since it last rose).
STEP, REST, GAP, RAISED = range(4)
#: Kinds of trials. Any other number is the window of the inferred tier on trial.
NO_GUESS, IN_FLIGHT, FRACTION = -2, -1, 0


def drop_expired(state: ApiState, now: int) -> None:
    """Drop trials whose requests can no longer arrive, and an inferred concurrency without a recent refusal."""
    if now >= state.crowd_from + CONCURRENCY_LIFETIME:
        state.inferred_concurrency = 0
    if state.trials:
        state.trials = {permit: trial for permit, trial in state.trials.items() if trial[1] > now}


def reset(state: ApiState) -> None:
    """Drop all trials and rises: the guesses behind them are void."""
    state.trials, state.rate_rise, state.flight_rise = {}, [1, 0, 0, 0], [1, 0, 0, 0]


def are_due(state: ApiState) -> bool:
    """Return True if there is a guess that may be tried."""
    is_rate_guessed = state.learned_fraction < WHOLE or any(tier[4] for tier in state.inferred_tiers)
    is_due = is_rate_guessed and not state.rate_rise[REST]
    return is_due or (state.inferred_concurrency > 0 and not state.flight_rise[REST])


def allowance(state: ApiState, rise: Sequence[int], kind: int) -> tuple[int, int]:
    """Return how many more trials of a kind may start, and how many there may be at once."""
    if kind == NO_GUESS or rise[REST] > 0:
        return 0, 0
    under_way = sum((trial[0] == IN_FLIGHT) == (kind == IN_FLIGHT) for trial in state.trials.values())
    most = 1 if kind == IN_FLIGHT else rise[STEP]
    return max(0, most - under_way), most


def count_granted(state: ApiState, permits: int) -> None:
    """Shorten the rests by the number of granted permits."""
    for rise in (state.rate_rise, state.flight_rise):
        rise[REST] = max(0, rise[REST] - permits)


def admitted(state: ApiState, permit: str, now: int) -> None:
    """Raise the guess if this request was a trial."""
    trial = state.trials.pop(permit, None)
    if trial is None:
        return
    kind, _, units = trial
    if kind == IN_FLIGHT:
        raise_concurrency(state)
    elif kind == FRACTION:
        state.learned_fraction, state.last_raised = min(WHOLE, state.learned_fraction + units), kind
        raise_step(state.rate_rise, state.learned_fraction // units)
    else:
        for tier in state.inferred_tiers:
            if tier[1] == kind and tier[4]:
                tier[0], tier[2], state.last_raised = tier[0] + units, now, kind
                raise_step(state.rate_rise, tier[0])
        state.inferred_tiers = [
            tier for tier in state.inferred_tiers if not tier[4] or tier[0] < FORGOTTEN_AT * tier[4]
        ]


def refused(state: ApiState, permit: str, *, again: bool) -> bool:
    """Return True if this request was a trial: then it came too early, and teaches nothing else.

    `again` is False for requests that were in flight when the last pause began.
    """
    trial = state.trials.pop(permit, None)
    if trial is None:
        return False
    if again:
        back_off_kind(state, trial[0])
        if trial[0] != IN_FLIGHT and not state.flight_rise[GAP]:
            state.inferred_concurrency = 0  # few were in flight: the rate explains the refusals
    return True


def raise_concurrency(state: ApiState) -> None:
    """Count an admitted trial of the concurrency; a full set of them in a row raises it by one.

    A single one proves little, since another request may have been answered just before.
    """
    rise = state.flight_rise
    rise[RAISED] += 1
    if state.inferred_concurrency and rise[RAISED] >= state.inferred_concurrency:
        state.inferred_concurrency += 1
        rise[STEP], rise[RAISED] = rise[STEP] + 1, 0
        if rise[STEP] > LEAST_STEP:
            rise[GAP] = 0
        if state.inferred_concurrency >= state.refused_concurrency and not rise[GAP]:
            state.inferred_concurrency = 0  # as many as were refused together are admitted: it was not their number


def raise_step(rise: list[int], guess: int) -> None:
    """Allow more trials at once. After many admitted ones the guess was far off, so the next rest is short again."""
    rise[STEP] = min(rise[STEP] + 1, max(LEAST_STEP, guess // 8))
    rise[RAISED] += 1
    if rise[RAISED] > max(LEAST_STEP, guess // 8):
        rise[GAP] = 0


def back_off_kind(state: ApiState, kind: int) -> None:
    """Stop trials of a kind for a while."""
    back_off(state.flight_rise if kind == IN_FLIGHT else state.rate_rise)
    if kind == IN_FLIGHT:
        state.flight_rise[RAISED] = 0


def back_off(rise: list[int]) -> None:
    """Stop trials for twice as many requests as the last time."""
    rise[GAP] = min(LONGEST_REST, 2 * rise[GAP]) or FIRST_REST
    rise[STEP], rise[REST] = 1, rise[GAP]


def rate_lowered(state: ApiState) -> None:
    """Stop trials after a rate was lowered. A first guess is tried immediately."""
    if state.rate_rise[GAP] or state.rate_rise[RAISED]:
        back_off(state.rate_rise)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A refused request, the first one for a while."""

    moment: int
    sent: int
    beside: int  #: other requests that were in flight at any time since it was sent
    in_flight: int  #: those of them that still are


def explain(state: ApiState, refusal: Refusal, taken: Callable[[int], int]) -> bool:
    """Return True if a guess other than the rate explains a refusal, or one that rose too far. Lower that guess.

    The server counts in the order of arrival, so it may admit a trial and refuse a request that was sent before it. And
    a trial may have been admitted because the server freed units a little earlier than we did. Then the guess is
    lowered to the units in flight or taken by now, but not below where its rise began.
    If all of the inferred concurrency was used, it may be lower (see `judge_crowd`). That is assumed once; if it did
    not help, the rate is to blame.
    """
    if state.trials:
        for kind in {trial[0] for trial in state.trials.values()}:
            back_off_kind(state, kind)
        state.trials = {}
        return True
    state.crowd_size = 0
    is_full = state.inferred_concurrency > 0 and refusal.beside + 1 >= state.inferred_concurrency
    if is_full and state.flight_rise[STEP] > 1:
        state.inferred_concurrency = max(1, state.inferred_concurrency + 1 - state.flight_rise[STEP])
        state.crowd_from = refusal.moment
        back_off_kind(state, IN_FLIGHT)
        return True
    is_blamed_again = state.concurrency_blamed > 0
    state.concurrency_blamed = int(is_full and not is_blamed_again)
    if not is_full or is_blamed_again:
        before = state.rate_rise[RAISED]
        undo_raises(state, lambda window: taken(window) - 1)
        if state.rate_rise[RAISED] != before:
            back_off(state.rate_rise)
            return True
    state.crowd_size, state.crowd_from = refusal.beside + 1, refusal.sent
    state.crowd_until = (refusal.sent + refusal.moment) // 2
    state.crowd_admitted = refusal.beside - refusal.in_flight
    return state.concurrency_blamed > 0


def undo_raises(state: ApiState, taken: Callable[[int], int]) -> None:
    """Lower the tier raised last to the units that are taken, after requests in flight beside trials were refused.

    The server counts in the order of arrival, so it may have admitted trials in their place. The tier is not lowered
    below where its rise began.
    """
    for tier in state.inferred_tiers:
        if tier[1] == state.last_raised and tier[4]:
            doubtful = max(0, min(state.rate_rise[RAISED], tier[0] - 1, tier[0] - taken(tier[1])))
            tier[0], state.rate_rise[RAISED] = tier[0] - doubtful, state.rate_rise[RAISED] - doubtful


def count_admitted(state: ApiState, moment: int, latency: int) -> None:
    """Count an admitted request if it belongs to the crowd: sent before the refusal and answered after it."""
    in_flight = state.crowd_from <= moment and moment - latency <= state.crowd_until
    if state.crowd_size and state.probing == 1 and in_flight:
        state.crowd_admitted += 1


def judge_crowd(state: ApiState) -> None:
    """Infer a concurrency once the whole crowd is answered, if the server admitted only a part of it."""
    crowd_size, state.crowd_size, state.rate_rise[RAISED] = state.crowd_size, 0, 0
    if state.crowd_admitted < crowd_size > 1:
        fewer = state.crowd_admitted or crowd_size // 2
        if state.inferred_concurrency:
            fewer = min(fewer, max(1, state.inferred_concurrency - 1))
        state.inferred_concurrency = fewer
        state.refused_concurrency = max(crowd_size, state.inferred_concurrency + LEAST_STEP)
        state.flight_rise[STEP], state.flight_rise[RAISED] = 1, 0
        state.flight_rise[REST] = state.flight_rise[GAP] or FIRST_FLIGHT_REST
