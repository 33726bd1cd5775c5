"""What the server's behaviour teaches about the tiers. It only ever makes them stricter than configured, but for one
thing: in short windows, a measured part of the network's delay is given back.

Pure, on the shared state, in microseconds. `lua/` does the same in Redis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from import_pipeline.ratelimit.algorithm import trials
from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState
from import_pipeline.ratelimit.protocol import SECOND, LatencySummary

LEAST = WHOLE // 10  #: a server that grants less than this of what is configured is blamed on something else
STRICT_AFTER = 120 * SECOND  #: how long no delay is credited after a refusal, or five of the longest windows
EARLY, LATE = SECOND // 4, SECOND + SECOND // 4  #: a wait is told in whole seconds, rounded up, and travels a while
PERIOD = 60 * SECOND  #: the quickest answer of this period and the one before it counts
#: Answers before their delay is believed, and how many of them on connections that had brought one before: a first one
#: may wait for a server that is not ready yet, and if all did, later ones would come early.
SAMPLES, STANDING = 20, 10
LONGEST_CREDITED = 10 * SECOND  #: windows in which the delay matters


@dataclass(frozen=True, slots=True)
class Window:
    """A tier's window as a refused request met it."""

    part: int  #: of the tier's amount that was taken, in millionths
    frees_in: int  #: when our oldest request leaves it; the whole window where it holds none


def tighten(shared: ApiState, now: int, wait: int, windows: Sequence[Window], *, again: bool) -> None:
    """A request was refused a moment ago, with a wish to wait, when so many others stood in each tier's window.

    That many are what the server grants, of the fullest tier, and of all tiers in the same proportion. If the wait is
    the one until our own oldest request leaves, it is that tier for certain.
    `again`: it is no request that was in flight when the last pause began. What was learned then was not enough, since
    others come and go: it shrinks by a tenth at least, unless it was raised since. All of it is a guess, which rises
    again (see trials.py).
    """
    certain = [each.part for each in windows if each.frees_in - EARLY <= wait <= each.frees_in + LATE]
    part = max(LEAST, *(certain or [each.part for each in windows]))
    if again:
        if shared.learned < WHOLE and not shared.rate_rise[trials.RAISED]:
            part = max(LEAST, min(part, shared.learned - shared.learned // 10))
        trials.lowered(shared)
    shared.learned = min(shared.learned, part)
    shared.strict_until = now + max(STRICT_AFTER, 5 * shared.keep)


def apply_advertised(shared: ApiState, now: int, told: int) -> None:
    """The server names limits that are this part of those configured: the least of late counts."""
    if told and (told <= shared.told or now >= shared.told_at + max(PERIOD, shared.keep)):
        shared.told, shared.told_at = told, now


def part(shared: ApiState) -> int:
    """The part of the tiers' amounts that is used, in millionths."""
    return min(shared.learned, shared.told)


def record_latency(shared: ApiState, now: int, delays: LatencySummary) -> None:
    """Answers came."""
    if now >= shared.turned + PERIOD:
        fresh = now < shared.turned + 2 * PERIOD
        shared.quickest_before = shared.quickest if fresh else 0
        shared.samples_before = shared.samples if fresh else 0
        shared.standing_before = shared.standing if fresh else 0
        shared.spent_before = shared.spent if fresh else 0
        shared.quickest, shared.samples, shared.standing, shared.spent, shared.turned = 0, 0, 0, 0, now
    if delays.answers:
        shared.quickest = min(shared.quickest or delays.quickest, delays.quickest)
        shared.samples += delays.answers
        shared.standing += delays.standing
        shared.spent += delays.together


def latency_credit(shared: ApiState, now: int) -> int:
    """How much earlier than a window after an answer the next request may start.

    The server counted some time before its answer reached us, and will count the next one some time after it starts.
    Together that is a round trip, so never less than the quickest that there can be. The quickest one seen comes the
    closer to that, the more there were and the less they differ; a tenth is left for what changes.
    """
    samples = shared.samples + shared.samples_before
    standing = shared.standing + shared.standing_before
    if samples < SAMPLES or standing < STANDING or now < shared.strict_until:
        return 0
    least = min(quickest for quickest in (shared.quickest, shared.quickest_before) if quickest)
    spread = max(0, (shared.spent + shared.spent_before) // samples - least)
    return max(0, least - max(SECOND // 100, least // 10, 4 * spread // isqrt(samples)))


def effective_window(window: int, credited: int) -> int:
    """The window counted from an answer's moment."""
    return window - min(credited, window // 4) if window <= LONGEST_CREDITED else window
