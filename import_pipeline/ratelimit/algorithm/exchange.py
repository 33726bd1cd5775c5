"""The exchange: settle permits, then grant new ones. For stores in Python; `stores/lua/` does the same in Redis.

A permit occupies its units in a tier from its grant until a window after its answer. The server counts a request when
it arrives, between the two. So no period as long as the window sees more arrivals than the tier allows.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from import_pipeline.ratelimit.algorithm import bucketed_window, inferred_tiers, trials
from import_pipeline.ratelimit.algorithm.adaptation import (
    Window,
    allowed_fraction,
    apply_advertised,
    be_strict,
    latency_credit,
    record_latency,
    select_profile,
    tighten,
)
from import_pipeline.ratelimit.algorithm.api_permits import ApiPermits
from import_pipeline.ratelimit.algorithm.corrections import correct
from import_pipeline.ratelimit.algorithm.start_times import (
    effective_tiers,
    starts_by_concurrency,
    starts_by_tiers,
    trial_starts,
)
from import_pipeline.ratelimit.algorithm.state import (
    POLL,
    WHOLE,
    ApiState,
    begin_wait,
    blocked_until,
    end_wait,
    pause,
    slept,
)
from import_pipeline.ratelimit.protocol import SECOND, ExchangeReply, ExchangeRequest, Outcome, Settlement

KEEPS_ITS_UNITS = (Outcome.ANSWERED, Outcome.CUT_OFF, Outcome.IN_FLIGHT)
NO_HINT = -SECOND  #: a wait that matches no window
NEAR = 8  #: units that come free within this part (1/8) of the window may be free already for the server
FRESH = 2 * SECOND  #: the highest age of reported usage; log entries are kept this much longer than the longest window


def exchange(
    permits: ApiPermits, request: ExchangeRequest, now: int, *, lost: bool = False, emptied: bool = False
) -> ExchangeReply:
    """Settle permits, then grant what the pause and all tiers allow. Changes the permits and their state."""
    state = permits.state
    is_inferring = not request.tiers
    request = prepare(permits, request, now)
    settle(permits, request, now, is_inferring=is_inferring)
    if is_inferring:
        request = with_inferred_tiers(permits, request)
    permits.log.forget(now - state.longest_window - FRESH)
    if request.concurrent:
        permits.in_flight.forget(now)
    starts, wait = grant(permits, request, inferred_tiers.probe_units(state) if is_inferring else (), now)
    return ExchangeReply(
        starts=tuple(start - now for start in starts),
        wait=wait,
        pause=max(0, state.paused_until - now),
        probing=state.probing > 0,
        lost=lost,
        emptied=emptied,
        hits=state.hits,
        sleeps=state.sleeps,
        slept=slept(state, now),
        allowed_fraction=allowed_fraction(state),
        inferred_tiers=request.tiers if is_inferring else (),
        in_flight=permits.in_flight.later_than(now) if request.concurrent else 0,
        inferred_concurrency=state.inferred_concurrency,
        used=tuple(permits.taken(*tier, now - tier[1]) for tier in request.tiers) if request.count_units else (),
    )


def prepare(permits: ApiPermits, request: ExchangeRequest, now: int) -> ExchangeRequest:
    """Bring the state up to date with all of a request but its permits; returns it with the tiers that hold."""
    state = permits.state
    is_inferring = not request.tiers
    trials.drop_expired(state, now)
    select_profile(state, request.tiers)
    correct(state, request)
    bucketed_window.forget(state.bucket_counts, now)
    if is_inferring:
        inferred_tiers.update(state, permits.log, request, now)
        request = with_inferred_tiers(permits, request)
    permits.use(request.tiers)
    logged = [window for amount, window in request.tiers if not bucketed_window.is_bucketed(amount, window)]
    state.longest_window = max(state.longest_window, *logged, 0)
    apply_advertised(state, now, request.advertised_fraction)
    record_latency(state, now, request.latencies)
    count_others(permits, request, now)
    restore_buckets(permits, request, now)
    return request


def with_inferred_tiers(permits: ApiPermits, request: ExchangeRequest) -> ExchangeRequest:
    """Return the request with the inferred tiers in place of configured ones."""
    request = replace(request, tiers=inferred_tiers.tiers(permits.state))
    permits.use(request.tiers)
    return request


def count_others(permits: ApiPermits, request: ExchangeRequest, now: int) -> None:
    """Count units of other users of the key: the server reported more than we can have sent.

    Each of our requests that it can have counted is in the window as of the moment of sending.
    """
    for each in request.reported_usage:
        amount, window = request.tiers[each.tier]
        if each.age > FRESH:
            continue
        others = min(each.used, amount) - permits.taken(amount, window, now - each.age - window)
        if others > 0 and describes_another_limit(permits, request, amount - each.used, amount, now - each.age):
            continue
        if others > 0 and bucketed_window.is_bucketed(amount, window):
            bucketed_window.add(permits.state.bucket_counts, window, now, others)
            continue
        for number in range(others):
            permits.put(f"other {now} {each.tier} {number}", 1, now)


def describes_another_limit(
    permits: ApiPermits, request: ExchangeRequest, remaining: int, amount: int, sent: int
) -> bool:
    """Return True if the remaining units are those of a smaller tier of ours: the server named the wrong limit.

    It can have counted all requests sent by then, and has counted those that were answered.
    """
    for smaller, window in request.tiers:
        if smaller < amount and not bucketed_window.is_bucketed(smaller, window):
            most = permits.log.later_than(sent - window)
            least = permits.log.later_than(sent - window + window // NEAR) - permits.log.later_than(sent)
            if least <= smaller - remaining <= most:
                return True
    return False


def restore_buckets(permits: ApiPermits, request: ExchangeRequest, now: int) -> None:
    """Restore the counts of bucketed tiers that a process replays to an emptied store."""
    for amount, window in request.tiers:
        if bucketed_window.is_bucketed(amount, window):
            for each in request.bucket_counts:
                bucketed_window.add(permits.state.bucket_counts, window, now - each.age, each.units)


def settle(permits: ApiPermits, request: ExchangeRequest, now: int, *, is_inferring: bool) -> None:
    """Apply the outcomes of permits. `is_inferring`: no tiers are configured, so refusals lead to some."""
    state = permits.state
    for each in request.settled:
        if request.concurrent:
            permits.in_flight.remove(each.permit)
        if each.outcome in KEEPS_ITS_UNITS:
            request = keep_units(permits, request, each, now, is_inferring=is_inferring)
            continue
        permits.remove(each.permit, each.cost)
        was_probe = each.permit == state.probe
        if was_probe:
            state.probing, state.probe = 1, ""
        if each.outcome is Outcome.HELD:
            be_strict(state, now)
            trials.refused(state, each.permit, again=state.paused_until <= now)
            pause(state, now, now - each.age + each.wait, is_guess=each.is_guess)
        if each.outcome is Outcome.REFUSED:
            refuse(permits, request, each, now, teaches=not was_probe and not is_inferring)
        else:
            state.trials.pop(each.permit, None)


def keep_units(
    permits: ApiPermits, request: ExchangeRequest, each: Settlement, now: int, *, is_inferring: bool
) -> ExchangeRequest:
    """Settle a permit that the server has counted, or may count; returns the request with the tiers that hold then."""
    state, moment = permits.state, now - each.age + each.wait
    if each.outcome is Outcome.CUT_OFF:
        moment += latency_credit(state, now)  # the latency of answers does not apply to it: its window is a whole one
        state.trials.pop(each.permit, None)
    if each.outcome is Outcome.ANSWERED:
        trials.count_admitted(state, moment, each.latency)
        trials.admitted(state, each.permit, now)
    if request.tiers or is_logged(state):
        permits.put(each.permit, each.cost, moment)
    if request.concurrent and each.outcome is Outcome.IN_FLIGHT:
        permits.in_flight.put(each.permit, moment)
    if each.permit == state.probe and each.outcome is Outcome.CUT_OFF:
        state.probing, state.probe = 1, ""
    if each.permit == state.probe and each.outcome is Outcome.ANSWERED:
        state.probing, state.probe = 0, ""
        trials.judge_crowd(state)
        if is_inferring and state.refused_at:
            inferred_tiers.infer_from_refusal(state, permits.log, moment, now)
            request = with_inferred_tiers(permits, request)
    return request


def is_logged(state: ApiState) -> bool:
    """Return True if requests are logged although no tier is known: a guess depends on them."""
    return state.refused_at > 0 or state.inferred_concurrency > 0


def refuse(permits: ApiPermits, request: ExchangeRequest, each: Settlement, now: int, *, teaches: bool) -> None:
    """Pause all processes after a refusal, and tighten the configured tiers to what the server admitted before.

    A refused probe teaches nothing, since the windows have emptied during the pause. Nor does a trial, which came too
    early. Inferred tiers are adapted in `inferred_tiers`.
    """
    state, moment = permits.state, now - each.age
    again = state.paused_until <= now
    is_explained = trials.refused(state, each.permit, again=again)

    def taken(since: int) -> int:
        return permits.log.later_than(moment - since)

    if again and not is_explained:
        refusal = trials.Refusal(
            moment=moment,
            sent=moment - each.latency,
            beside=taken(each.latency),
            in_flight=permits.log.later_than(now),
        )
        is_explained = trials.explain(state, refusal, taken)
        if is_explained:
            state.refused_at = 0
    if is_explained or not again:
        trials.undo_raises(state, taken)
    pause(state, now, moment + each.wait, is_guess=each.is_guess)
    if teaches and not is_explained:
        windows = [window_at_refusal(permits, tier, moment) for tier in request.tiers]
        # A guessed wait does not show which window was full.
        tighten(state, now, NO_HINT if each.is_guess else each.wait, windows, again=again)


def window_at_refusal(permits: ApiPermits, tier: tuple[int, int], moment: int) -> Window:
    """Return a tier's window at the moment of a refusal."""
    amount, window = tier
    taken = permits.taken(amount, window, moment - window)
    if bucketed_window.is_bucketed(amount, window):
        free = bucketed_window.first_free(permits.state.bucket_counts, window)
        return Window(taken * WHOLE // amount, window if free is None else free - moment)
    oldest = permits.log.first_after(moment - window)
    return Window(taken * WHOLE // amount, window if oldest is None else min(oldest - moment, 0) + window)


def grant(
    permits: ApiPermits, request: ExchangeRequest, probe_units: Sequence[tuple[int, int]], now: int
) -> tuple[list[int], int]:
    """Return the starts of granted permits, and the time until the next exchange for the rest (0 if there is none)."""
    state = permits.state
    until = blocked_until(state, now)
    if not request.wanted or until > now:
        if request.wanted:
            begin_wait(state, now, until)
        return [], max(0, until - now)
    wanted = request.wanted[:1] if state.probing else request.wanted
    tiers = effective_tiers(state, request, probe_units, now)
    by_tiers = starts_by_tiers(permits, tiers, [each.cost for each in wanted], now)
    slots = starts_by_concurrency(permits, request.concurrent, state.inferred_concurrency, len(wanted), now)
    starts = list(map(max, by_tiers, slots))
    granted = list(takewhile(lambda start: start <= now + request.look_ahead, starts))
    if len(granted) < len(wanted) and not state.probing and trials.are_due(state):
        granted += trial_starts(permits, request, tiers, len(granted), now)
    enter(permits, request, granted)
    if len(granted) == len(request.wanted):
        return granted, 0
    free = starts[len(granted)] if len(granted) < len(starts) else now + POLL
    begin_wait(state, now, free)
    return granted, max(0, free - request.look_ahead - now)


def enter(permits: ApiPermits, request: ExchangeRequest, granted: Sequence[int]) -> None:
    """Record granted permits: each occupies its units until its request can no longer arrive."""
    state = permits.state
    trials.count_granted(state, len(granted))
    for each, start in zip(request.wanted, granted, strict=False):
        if request.tiers or is_logged(state):
            permits.put(each.permit, each.cost, start + each.lifetime)
        if request.concurrent:
            permits.in_flight.put(each.permit, start + each.lifetime)
    if granted:
        end_wait(state, granted[0])
        if state.probing:
            state.probing, state.probe = 2, request.wanted[0].permit
            state.probe_until = granted[0] + request.wanted[0].lifetime
