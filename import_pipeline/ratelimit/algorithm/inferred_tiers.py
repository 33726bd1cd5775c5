"""Tiers of an API without configured limits: named by the server's headers, or inferred from its refusals.

Pure, on the shared state, in microseconds. `stores/lua/20_inferred_tiers.lua` does the same in Redis.
"""

from import_pipeline.ratelimit.algorithm import bucketed_window, trials
from import_pipeline.ratelimit.algorithm.adaptation import SMALLEST_FRACTION
from import_pipeline.ratelimit.algorithm.state import ApiState
from import_pipeline.ratelimit.algorithm.trials import TIER_LIFETIME
from import_pipeline.ratelimit.algorithm.window_log import WindowLog
from import_pipeline.ratelimit.protocol import SECOND, AdvertisedLimit, ExchangeRequest, Outcome

MOST_TIERS = 6  #: tiers that are remembered
LONGEST_LOOK = 3600 * SECOND  #: permits are kept at most this long to infer tiers from them
LOOK_BACK = 10  #: a window is at most this multiple of the wait after a refusal
ROUNDING = SECOND // 4  #: a reset is rounded to whole seconds, and takes time to arrive
SKEW = SECOND // 20  #: the difference of two well-kept clocks
REPORT_DELAY = SECOND  #: every process reports its requests to the store within this
ANSWERED_TOGETHER = SECOND // 2  #: of requests answered within this, none has left a window yet
JOIN = SECOND // 2  #: after the first tier is known, all wait this long for the others to report their requests


def update(state: ApiState, log: WindowLog, request: ExchangeRequest, now: int) -> None:
    """Take over the tiers and refusals that a process reports, and drop tiers without a recent sign."""
    state.inferred_tiers = [tier for tier in state.inferred_tiers if now < tier[2] + TIER_LIFETIME]
    for each in request.advertised_limits:
        update_from_headers(state, log, each, now)
        if each.used >= each.limit and any(tier[0] == each.limit for tier in state.inferred_tiers):
            state.advertised_full_at = max(state.advertised_full_at, now - each.age)
    refusals = [each for each in request.settled if each.outcome is Outcome.REFUSED and each.permit not in state.trials]
    if refusals and state.paused_until <= now:  # otherwise they were in flight when the pause began
        state.refused_at = state.refused_at or min(now - each.age for each in refusals)
    if refusals and state.refused_at:
        look_back = LOOK_BACK * (now - state.refused_at + max(each.wait for each in refusals))
        state.longest_window = max(state.longest_window, min(LONGEST_LOOK, look_back))
    longest = max((window for _, window, *_ in state.inferred_tiers), default=0)
    # A longer tier can only be inferred from requests before the known window.
    state.longest_window = max(state.longest_window, min(LONGEST_LOOK, LOOK_BACK * longest))


def possible_windows(advertised: AdvertisedLimit, state: ApiState, log: WindowLog, now: int) -> tuple[int, int]:
    """Return the shortest and the longest window that an advertised limit can have.

    If only the reset is known, the oldest request that the server counts leaves the window then. Of `used` requests,
    that is the one `used - 1` before the answered one, some of those in flight not counted. It arrived some time before
    its answer; the latency of the answered request stands for that time. A duration in whole seconds was rounded up or
    down; a moment is assumed to be rounded up. A limit of one is taken as it is, since it has no unit to try out the
    window with (see `probe_units`).
    """
    if advertised.window:
        window = -(-advertised.window // SECOND) * SECOND
        return window, window
    then, before = now - advertised.age, advertised.used - 1
    skew, rounding = (0, SECOND if advertised.limit > 1 else 0) if is_in_whole_seconds(advertised) else (SKEW, 0)
    more = advertised.latency + skew + rounding
    if before < 1:
        return advertised.reset - skew, advertised.reset + more
    shortest = age_of_newest(log, before, then) or 0
    longest = age_of_newest(log, before + log.later_than(then), then)
    if longest is None:  # some processes have not reported their requests yet
        longest = max(shortest, min(now - state.epoch, REPORT_DELAY))
    return advertised.reset + shortest - skew, advertised.reset + longest + more


def is_in_whole_seconds(advertised: AdvertisedLimit) -> bool:
    """Return True if a reset is a duration in whole seconds: then no clock was involved, but it was rounded."""
    return advertised.reset % SECOND == 0


def age_of_newest(log: WindowLog, skipped: int, then: int) -> int | None:
    """Return the age of the newest entry after skipping some; None if there are fewer."""
    oldest = log.newest(skipped, 1)
    return max(0, then - oldest[0]) if oldest else None


def update_from_headers(state: ApiState, log: WindowLog, advertised: AdvertisedLimit, now: int) -> None:
    """Add a tier that headers named, or narrow its window if it is known.

    Windows are whole seconds. If several are possible, the longest is used until answers exclude it. For a bucketed
    tier it stays.
    """
    windows = possible_windows(advertised, state, log, now)
    least, longest = map(whole_seconds, windows)
    for tier in state.inferred_tiers:
        amount, window, _, shortest, _ = tier
        if amount == advertised.limit:
            surely = least if advertised.window else whole_seconds(windows[0] - ROUNDING)
            if surely > window:
                window, shortest = min(longest, least + SECOND), least
            elif not bucketed_window.is_bucketed(amount, window):
                if advertised.window or not is_in_whole_seconds(advertised):
                    shortest = min(max(shortest, least), window)
                    window = max(shortest, min(window, longest))
                if not advertised.window:
                    shortest, window = narrow_by_count(state, log, advertised, (shortest, window), longest, now)
            if window > tier[1]:
                lengthen(state, log, tier, window, min(advertised.used, amount), now)
            tier[1:] = window, now, shortest, 0
            return
    if (advertised.window or advertised.reset) and not is_implied(state, advertised.limit, longest):
        if not state.inferred_tiers:
            state.rejoin_until = max(state.rejoin_until, now + JOIN)
        add_tier(state, log, [advertised.limit, longest, now, least, 0], min(advertised.used, advertised.limit))


def narrow_by_count(
    state: ApiState, log: WindowLog, advertised: AdvertisedLimit, window: tuple[int, int], longest: int, now: int
) -> tuple[int, int]:
    """Return the shortest and the believed window of a tier, narrowed by the number of units the server counts.

    The server still counts `used` of the requests before the answered one, and so their oldest, whichever of those in
    flight are among them. It counts not one more of those that were answered by then. With fixed windows, an uncounted
    request proves something only if the answer's reset leaves such a window; a window of one second is excluded if it
    was rounded down. A refusal by a tier that has room in our count means that its window is longer than believed.
    """
    shortest, believed = window
    sent = now - advertised.age - advertised.latency
    if sent < state.rejoin_until or not advertised.used:  # some processes have not reported their requests yet
        return window
    oldest = age_of_newest(log, advertised.used - 1, sent) or 0
    is_over = advertised.used > advertised.limit
    if is_over and oldest + 2 * advertised.latency >= believed and not state.refused_at:
        return believed + SECOND, believed + SECOND
    shortest = min(max(shortest, (oldest // SECOND + 1) * SECOND), believed)
    left = age_of_newest(log, log.later_than(sent) + advertised.used - 1, now - advertised.age)
    at_most = believed if left is None else whole_seconds(left + advertised.latency + SKEW)
    is_conclusive = shortest < longest or shortest == SECOND
    return shortest, at_most if is_conclusive and shortest <= at_most < believed else believed


def probe_units(state: ApiState) -> tuple[tuple[int, int], ...]:
    """Return (amount, window) of rows that keep a unit back while a tier's window is in doubt.

    That unit is used as soon as the shortest possible window is over. The answer shows if it is, without a risk: the
    unit was free by the longest window, too. It is sent a little later, since ages reach the store with the delay of a
    call.
    """
    return tuple(
        (amount - 1, shortest + SKEW)
        for amount, window, _, shortest, _ in state.inferred_tiers
        if shortest < window and amount > 1 and not bucketed_window.is_bucketed(amount, window)
    )


def lengthen(state: ApiState, log: WindowLog, tier: list[int], window: int, used: int, now: int) -> None:
    """Count in a tier's longer window: the units that the server counts, and the requests in flight."""
    amount, old, *_ = tier
    is_counted = any(bucketed_window.is_bucketed(*other[:2]) for other in state.inferred_tiers if other[1] == window)
    if is_counted or not bucketed_window.is_bucketed(amount, window):
        return
    if bucketed_window.is_bucketed(amount, old):
        bucketed_window.carry_over(state.bucket_counts, old, window, used + log.later_than(now), now)
    else:
        start_counting(state, log, window, used, now)


def start_counting(state: ApiState, log: WindowLog, window: int, used: int, now: int) -> None:
    """Count `used` units as of now, and all requests in flight, which may or may not be among them."""
    bucketed_window.add(state.bucket_counts, window, now, used)
    for moment in log.newest(0, log.later_than(now)):
        bucketed_window.add(state.bucket_counts, window, moment, 1)


def add_or_lower(state: ApiState, log: WindowLog, amount: int, window: int, now: int) -> bool:
    """Add a tier inferred from a refusal, or lower it by at least a tenth; False if other tiers imply it."""
    for tier in state.inferred_tiers:
        if tier[1] == window:
            tier[0], tier[2] = max(1, min(amount, tier[0] - max(1, tier[0] // 10))), now
            return True
    if is_implied(state, amount, window):
        return False
    add_tier(state, log, [amount, window, now, window, amount], amount)
    return True


def add_tier(state: ApiState, log: WindowLog, tier: list[int], used: int) -> None:
    """Add a tier of which `used` units are taken."""
    state.inferred_tiers = [*state.inferred_tiers, tier][-MOST_TIERS:]
    amount, window, now, *_ = tier
    if bucketed_window.is_bucketed(amount, window):
        start_counting(state, log, window, used, now)


def infer_from_refusal(state: ApiState, log: WindowLog, moment: int, now: int) -> None:
    """Infer a tier when the first request after a refusal was admitted and answered: a full window has room again.

    By now the oldest request of that window has left it. Of the possible tiers, assume the fastest one that known tiers
    do not already imply, since any other would have been no obstacle. If there is none, lower all by a tenth. Requests
    in flight at the refusal count too if all known ones were answered together: then none can have left a window.
    """
    refused_at, state.refused_at = state.refused_at, 0
    if state.advertised_full_at >= refused_at:
        return  # the refusal itself named the full tier
    since = moment - LOOK_BACK * max(0, moment - refused_at)
    together_until = min((log.first_after(since) or 0) + ANSWERED_TOGETHER, moment - 1)
    until = max(refused_at, together_until)
    admitted = [each for each in log.newest(0, log.later_than(since)) if each <= until] or [refused_at]
    best, best_window = 0, 1
    for number, each in enumerate(admitted, 1):
        window = moment - each
        if number * best_window >= best * window and not is_implied(state, number, whole_seconds(window)):
            best, best_window = number, window
    if not best or not add_or_lower(state, log, best, whole_seconds(best_window), now):
        state.learned_fraction = max(SMALLEST_FRACTION, state.learned_fraction - state.learned_fraction // 10)
    trials.rate_lowered(state)


def whole_seconds(window: int) -> int:
    """Return a window in whole seconds, at least one."""
    return max(SECOND, window // SECOND * SECOND)


def is_implied(state: ApiState, amount: int, window: int) -> bool:
    """Return True if a client that respects the known tiers respects this one, too."""
    return any(tier[0] * -(-window // tier[1]) <= amount for tier in state.inferred_tiers)


def tiers(state: ApiState) -> tuple[tuple[int, int], ...]:
    """Return (amount, window) of each inferred tier."""
    return tuple((amount, window) for amount, window, *_ in state.inferred_tiers)
