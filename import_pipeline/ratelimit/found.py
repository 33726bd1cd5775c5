"""Tiers of an api for which none is configured: named by the server's headers, or found by being refused.

Pure, on the shared state, in microseconds. `lua/` does the same in Redis.
"""

from import_pipeline.ratelimit import hundredths
from import_pipeline.ratelimit.exchange import SECOND, Ask, Named, Outcome
from import_pipeline.ratelimit.learning import LEAST, RELAX_AFTER
from import_pipeline.ratelimit.pause import Shared
from import_pipeline.ratelimit.stamps import Stamps

LASTS = 86_400 * SECOND  #: how long a tier is believed in after the last sign of it
MOST = 6  #: tiers that are remembered
LONGEST_LOOK = 3600 * SECOND
LOOK_BACK = 10  #: a window is not longer than so many times the wait after a refusal
ROUNDING = SECOND // 4  #: a reset is told in whole seconds, rounded up, and travels a while
JOIN = SECOND // 2  #: when a first tier is learned, all wait that long for the others to tell what they sent


def learn(shared: Shared, stamps: Stamps, ask: Ask, now: int) -> None:
    """Take in what this process's answers named, and forget what nobody has heard of for long."""
    shared.found = [tier for tier in shared.found if now < tier[2] + LASTS]
    for each in ask.named:
        window = each.window or window_of(each, stamps, now)
        if each.used >= each.limit:
            shared.named_full_at = now - each.age
        if window:
            enter(shared, each.limit, window, now, each.used, named=True)
    refusals = [each for each in ask.settled if each.outcome is Outcome.REFUSED]
    if refusals:
        shared.refused_at = shared.refused_at or min(now - each.age for each in refusals)
        look_back = LOOK_BACK * (now - shared.refused_at + max(each.wait for each in refusals))
        shared.keep = max(shared.keep, min(LONGEST_LOOK, look_back))
    longest = max((window for _, window, _ in shared.found), default=0)
    shared.keep = max(shared.keep, min(LONGEST_LOOK, LOOK_BACK * longest))  # a longer tier is found by what was before


def window_of(named: Named, stamps: Stamps, now: int) -> int:
    """The window of a limit of which only the reset is known: the oldest request that it counts leaves it then.

    Windows are whole seconds, and what is told of them is rounded.
    """
    if named.reset <= 0:
        return 0
    oldest = stamps.newest(named.used - 1, 1) if named.used else ()
    since = max(0, now - named.age - oldest[0]) if oldest else 0
    return max(SECOND, named.reset + since)


def enter(shared: Shared, amount: int, window: int, now: int, used: int, *, named: bool = False) -> bool:
    """Remember a tier; False: others imply it already.

    A limit that is named again with a longer window has that one, if it is surely longer. One that was found is never
    raised; found again, it is a tenth less at least.
    """
    if named and not shared.found:
        shared.hold = max(shared.hold, now + JOIN)
    for tier in shared.found:
        if named and tier[0] == amount:
            tier[1], tier[2] = max(tier[1], whole(window - ROUNDING) if window % SECOND else window), now
            return True
        if not named and tier[1] == window:
            tier[0], tier[2] = max(1, min(amount, tier[0] - max(1, tier[0] // 10))), now
            return True
    window = whole(window)
    if is_implied(shared, amount, window):
        return False
    shared.found = [*shared.found, [amount, window, now]][-MOST:]
    if hundredths.is_long(amount, window):
        hundredths.add(shared.counts, window, now, used)
    return True


def discover(shared: Shared, stamps: Stamps, moment: int, now: int) -> None:
    """The first request after a refusal was admitted, and answered at that moment: what was full is not any more.

    The oldest request has left the window by now. Which of those that were admitted that was, nobody tells; it is the
    one that makes the fastest tier of those that are not implied by what is known, since any other would have been no
    obstacle. If there is none, a tenth less of all is tried from now on.
    """
    refused_at, shared.refused_at = shared.refused_at, 0
    if shared.named_full_at >= refused_at:
        return  # the refusal itself named the tier that was full
    since = moment - LOOK_BACK * max(0, moment - refused_at)
    admitted = [each for each in stamps.newest(0, stamps.later_than(since)) if each <= refused_at] or [refused_at]
    best, best_window = 0, 1
    for number, each in enumerate(admitted, 1):
        window = moment - each
        if number * best_window >= best * window and not is_implied(shared, number, whole(window)):
            best, best_window = number, window
    if not best or not enter(shared, best, whole(best_window), now, best):
        shared.learned = max(LEAST, shared.learned - shared.learned // 10)
        shared.relax_at = now + max(RELAX_AFTER, 5 * shared.keep)


def whole(window: int) -> int:
    """A window in whole seconds, at least one."""
    return max(SECOND, window // SECOND * SECOND)


def is_implied(shared: Shared, amount: int, window: int) -> bool:
    """Whether whoever keeps what is known keeps that tier too."""
    return any(tier[0] * -(-window // tier[1]) <= amount for tier in shared.found)


def tiers(shared: Shared) -> tuple[tuple[int, int], ...]:
    """(amount, window) of each."""
    return tuple((amount, window) for amount, window, _ in shared.found)
