"""Tiers of an api for which none is configured: named by the server's headers, or found by being refused.

Pure, on the shared state, in microseconds. `lua/` does the same in Redis.
"""

from import_pipeline.ratelimit.algorithm import bucketed_window, trials
from import_pipeline.ratelimit.algorithm.adaptation import LEAST
from import_pipeline.ratelimit.algorithm.state import ApiState
from import_pipeline.ratelimit.algorithm.trials import LASTS
from import_pipeline.ratelimit.algorithm.window_log import WindowLog
from import_pipeline.ratelimit.protocol import SECOND, AdvertisedLimit, ExchangeRequest, Outcome

MOST = 6  #: tiers that are remembered
LONGEST_LOOK = 3600 * SECOND
LOOK_BACK = 10  #: a window is not longer than so many times the wait after a refusal
ROUNDING = SECOND // 4  #: a reset is told in whole seconds and travels a while
SKEW = SECOND // 20  #: what clocks that are kept right may differ
NOT_TOLD = SECOND  #: requests are told to the store within
AT_ONCE = SECOND // 2  #: requests within this were answered before any of them can have left a window
JOIN = SECOND // 2  #: when a first tier is learned, all wait that long for the others to tell what they sent


def learn(shared: ApiState, stamps: WindowLog, ask: ExchangeRequest, now: int) -> None:
    """Take in what this process's answers named, and forget what nobody has heard of for long."""
    # A store of an earlier version knows no shortest window, and no first amount.
    shared.found = [[*tier, *[tier[1], 0][len(tier) - 3 :]] for tier in shared.found if now < tier[2] + LASTS]
    for each in ask.named:
        update_from_headers(shared, stamps, each, now)
        if each.used >= each.limit and any(tier[0] == each.limit for tier in shared.found):
            shared.named_full_at = max(shared.named_full_at, now - each.age)
    refusals = [each for each in ask.settled if each.outcome is Outcome.REFUSED and each.permit not in shared.trials]
    if refusals and shared.pause <= now:  # else they were in flight when it began
        shared.refused_at = shared.refused_at or min(now - each.age for each in refusals)
    if refusals and shared.refused_at:
        look_back = LOOK_BACK * (now - shared.refused_at + max(each.wait for each in refusals))
        shared.keep = max(shared.keep, min(LONGEST_LOOK, look_back))
    longest = max((window for _, window, *_ in shared.found), default=0)
    shared.keep = max(shared.keep, min(LONGEST_LOOK, LOOK_BACK * longest))  # a longer tier is found by what was before


def windows_of(told: AdvertisedLimit, shared: ApiState, stamps: WindowLog, now: int) -> tuple[int, int]:
    """The least and the longest window that a named limit can have.

    Where only the reset is known: the oldest request that it counts leaves the window then. That is the one that tells,
    if it is alone; else so many before it, not counting some of those in flight. It arrived some time before its
    answer: how long, is taken from the request that tells. A duration in whole seconds was rounded up or down; a moment
    is taken for one that was rounded up. A limit of one is taken at its word, since it has no place to try out which
    (see `kept_back`).
    """
    if told.window:
        window = -(-told.window // SECOND) * SECOND
        return window, window
    then, before = now - told.age, told.used - 1
    skew, rounding = (0, SECOND if told.limit > 1 else 0) if is_whole(told) else (SKEW, 0)
    more = told.took + skew + rounding
    if before < 1:
        return told.reset - skew, told.reset + more
    least = age_of(stamps, before, then) or 0
    longest = age_of(stamps, before + stamps.later_than(then), then)
    if longest is None:  # not all have told what they sent
        longest = max(least, min(now - shared.epoch, NOT_TOLD))
    return told.reset + least - skew, told.reset + longest + more


def is_whole(told: AdvertisedLimit) -> bool:
    """Whether a reset is a duration in whole seconds: it was read off no clock of ours, but rounded."""
    return told.reset % SECOND == 0


def age_of(stamps: WindowLog, skipped: int, then: int) -> int | None:
    """How old the newest stamp was, after skipping some; None: there are not so many."""
    oldest = stamps.newest(skipped, 1)
    return max(0, then - oldest[0]) if oldest else None


def update_from_headers(shared: ApiState, stamps: WindowLog, told: AdvertisedLimit, now: int) -> None:
    """Remember a tier that headers named, or that they name again.

    Windows are whole seconds. Where several are possible, the longest holds until answers show another one, or for good
    where it is counted in hundredths.
    """
    windows = windows_of(told, shared, stamps, now)
    least, longest = map(whole, windows)
    for tier in shared.found:
        amount, window, _, shortest, _ = tier
        if amount == told.limit:
            surely = least if told.window else whole(windows[0] - ROUNDING)
            if surely > window:
                window, shortest = min(longest, least + SECOND), least
            elif not bucketed_window.is_bucketed(amount, window):
                if told.window or not is_whole(told):
                    shortest = min(max(shortest, least), window)
                    window = max(shortest, min(window, longest))
                if not told.window:
                    shortest, window = counted(shared, stamps, told, (shortest, window), longest, now)
            if window > tier[1]:
                lengthen(shared, stamps, tier, window, min(told.used, amount), now)
            tier[1:] = window, now, shortest, 0
            return
    if (told.window or told.reset) and not is_implied(shared, told.limit, longest):
        if not shared.found:
            shared.hold = max(shared.hold, now + JOIN)
        remember(shared, stamps, [told.limit, longest, now, least, 0], min(told.used, told.limit))


def counted(
    shared: ApiState, stamps: WindowLog, told: AdvertisedLimit, window: tuple[int, int], longest: int, now: int
) -> tuple[int, int]:
    """The least and the longest window that a tier can have by the number of places that the server counts.

    It still counts so many of those that came before the request that tells, and so their oldest, whichever of those in
    flight are among them; and not one more of those that were answered by then. Where windows are fixed, only an answer
    whose reset leaves such a window shows anything by what it does not count; that of one second is none when it is
    rounded down. A refusal by a tier which has room as we count means that its window is longer than is believed.
    """
    shortest, believed = window
    sent = now - told.age - told.took
    if sent < shared.hold or not told.used:  # not all have told what they sent
        return window
    oldest = age_of(stamps, told.used - 1, sent) or 0
    if told.used > told.limit and oldest + 2 * told.took >= believed and not shared.refused_at:
        return believed + SECOND, believed + SECOND
    shortest = min(max(shortest, (oldest // SECOND + 1) * SECOND), believed)
    left = age_of(stamps, stamps.later_than(sent) + told.used - 1, now - told.age)
    at_most = believed if left is None else whole(left + told.took + SKEW)
    is_fresh = shortest < longest or shortest == SECOND
    return shortest, at_most if is_fresh and shortest <= at_most < believed else believed


def kept_back(shared: ApiState) -> tuple[tuple[int, int], ...]:
    """Tiers that keep a place back where a window is in doubt: it is taken as soon as the shortest one would be over.

    The answer to that request tells whether it is, without a risk: by the longest window that place was free, too. It
    is sent a little later, since ages come to the store with the delay of a call.
    """
    return tuple(
        (amount - 1, shortest + SKEW)
        for amount, window, _, shortest, _ in shared.found
        if shortest < window and amount > 1 and not bucketed_window.is_bucketed(amount, window)
    )


def lengthen(shared: ApiState, stamps: WindowLog, tier: list[int], window: int, used: int, now: int) -> None:
    """Count in a tier's longer window what the server counts, and those in flight."""
    amount, old, *_ = tier
    counted = any(bucketed_window.is_bucketed(*other[:2]) for other in shared.found if other[1] == window)
    if counted or not bucketed_window.is_bucketed(amount, window):
        return
    if bucketed_window.is_bucketed(amount, old):
        bucketed_window.carry_over(shared.counts, old, window, used + stamps.later_than(now), now)
    else:
        begin_to_count(shared, stamps, window, used, now)


def begin_to_count(shared: ApiState, stamps: WindowLog, window: int, used: int, now: int) -> None:
    """So many places are taken. Those in flight may or may not be among them, so all of these are counted too."""
    bucketed_window.add(shared.counts, window, now, used)
    for moment in stamps.newest(0, stamps.later_than(now)):
        bucketed_window.add(shared.counts, window, moment, 1)


def find(shared: ApiState, stamps: WindowLog, amount: int, window: int, now: int) -> bool:
    """Remember a tier that was found; False: others imply it already.

    One that was found is never raised; found again, it is a tenth less at least.
    """
    for tier in shared.found:
        if tier[1] == window:
            tier[0], tier[2] = max(1, min(amount, tier[0] - max(1, tier[0] // 10))), now
            return True
    if is_implied(shared, amount, window):
        return False
    remember(shared, stamps, [amount, window, now, window, amount], amount)
    return True


def remember(shared: ApiState, stamps: WindowLog, tier: list[int], used: int) -> None:
    """One tier more, of which so many places are taken."""
    shared.found = [*shared.found, tier][-MOST:]
    amount, window, now, *_ = tier
    if bucketed_window.is_bucketed(amount, window):
        begin_to_count(shared, stamps, window, used, now)


def infer_from_refusal(shared: ApiState, stamps: WindowLog, moment: int, now: int) -> None:
    """The first request after a refusal was admitted, and answered at that moment: what was full is not any more.

    The oldest request has left the window by now. Which of those that were admitted that was, nobody tells; it is the
    one that makes the fastest tier of those that are not implied by what is known, since any other would have been no
    obstacle. If there is none, a tenth less of all is tried from now on. Those that were in flight when the first one
    was refused count too where all that is known came at once: no window is so short that one had left it by then.
    """
    refused_at, shared.refused_at = shared.refused_at, 0
    if shared.named_full_at >= refused_at:
        return  # the refusal itself named the tier that was full
    since = moment - LOOK_BACK * max(0, moment - refused_at)
    at_once = min((stamps.first_after(since) or 0) + AT_ONCE, moment - 1)
    until = max(refused_at, at_once)
    admitted = [each for each in stamps.newest(0, stamps.later_than(since)) if each <= until] or [refused_at]
    best, best_window = 0, 1
    for number, each in enumerate(admitted, 1):
        window = moment - each
        if number * best_window >= best * window and not is_implied(shared, number, whole(window)):
            best, best_window = number, window
    if not best or not find(shared, stamps, best, whole(best_window), now):
        shared.learned = max(LEAST, shared.learned - shared.learned // 10)
    trials.lowered(shared)


def whole(window: int) -> int:
    """A window in whole seconds, at least one."""
    return max(SECOND, window // SECOND * SECOND)


def is_implied(shared: ApiState, amount: int, window: int) -> bool:
    """Whether whoever keeps what is known keeps that tier too."""
    return any(tier[0] * -(-window // tier[1]) <= amount for tier in shared.found)


def tiers(shared: ApiState) -> tuple[tuple[int, int], ...]:
    """(amount, window) of each."""
    return tuple((amount, window) for amount, window, *_ in shared.found)
