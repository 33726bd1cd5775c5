"""Adaptation of configured tiers to a server that grants less, and a credit for the network's latency.

Tiers only ever become stricter than configured, with one exception: in short windows, a measured part of the latency is
given back. Pure, on the shared state, in microseconds. `stores/lua/40_adaptation.lua` does the same in Redis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from import_pipeline.ratelimit.algorithm import trials
from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState
from import_pipeline.ratelimit.protocol import SECOND, LatencySummary

SMALLEST_FRACTION = WHOLE // 10  #: a server that grants even less has another reason to refuse
STRICT_AFTER = 120 * SECOND  #: no latency is credited this long after a refusal, or for five of the longest windows
EARLY, LATE = SECOND // 4, SECOND + SECOND // 4  #: a wait is rounded up to whole seconds, and takes time to arrive
PERIOD = 60 * SECOND  #: the lowest latency of this period and of the one before counts
#: Samples before their latency is believed, and how many of them on warm connections: the first answer of a connection
#: may wait for a server that is not ready yet. If all did, later requests would come too early.
SAMPLES, WARM_SAMPLES = 20, 10
LONGEST_CREDITED = 10 * SECOND  #: the latency matters in windows up to this
KEPT_PROFILES = 4  #: other configured tiers whose fractions are kept
NOTHING_LEARNED = [WHOLE, WHOLE, 0]  #: learned_fraction, advertised_fraction, advertised_at


@dataclass(frozen=True, slots=True)
class Window:
    """A tier's window at the moment of a refusal."""

    taken_fraction: int  #: of the tier's amount, in millionths
    frees_in: int  #: until our oldest request leaves it; the whole window if it holds none


def select_profile(state: ApiState, tiers: Sequence[tuple[int, int]]) -> None:
    """Switch to the fractions of these configured tiers, and keep those of the others.

    A fraction belongs to the tiers that it was learned for: processes may be configured differently, and wrong limits
    are corrected.
    """
    name = ",".join(f"{amount}/{window}" for amount, window in tiers)
    if name == state.profile:
        return
    others = state.other_profiles | {
        state.profile: [state.learned_fraction, state.advertised_fraction, state.advertised_at]
    }
    state.learned_fraction, state.advertised_fraction, state.advertised_at = others.pop(name, NOTHING_LEARNED)
    state.profile, state.other_profiles = name, dict(list(others.items())[-KEPT_PROFILES:])


def tighten(state: ApiState, now: int, wait: int, windows: Sequence[Window], *, again: bool) -> None:
    """Lower the learned fraction after a refusal, given the wait it named and each tier's window at that moment.

    The units taken in the fullest tier are what the server grants; all tiers shrink in proportion. If the wait matches
    the time until our oldest request leaves a window, that tier is the full one for certain. `again` is False for
    requests that were in flight when the last pause began. Otherwise the fraction shrinks by at least a tenth, unless
    trials raised it since: other users of the key come and go. It is a guess, which rises again (see trials.py).
    """
    certain = [each.taken_fraction for each in windows if each.frees_in - EARLY <= wait <= each.frees_in + LATE]
    fraction = max(SMALLEST_FRACTION, *(certain or [each.taken_fraction for each in windows]))
    if again:
        if state.learned_fraction < WHOLE and not state.rate_rise[trials.RAISED]:
            fraction = max(SMALLEST_FRACTION, min(fraction, state.learned_fraction - state.learned_fraction // 10))
        trials.rate_lowered(state)
    state.learned_fraction = min(state.learned_fraction, fraction)
    be_strict(state, now)


def be_strict(state: ApiState, now: int) -> None:
    """Credit no latency for a while after a refusal."""
    state.strict_until = now + max(STRICT_AFTER, 5 * state.longest_window)


def apply_advertised(state: ApiState, now: int, fraction: int) -> None:
    """Apply the fraction of the configured limits that headers named; 0: none. The lowest recent one counts."""
    is_due = now >= state.advertised_at + max(PERIOD, state.longest_window)
    if fraction and (fraction <= state.advertised_fraction or is_due):
        state.advertised_fraction, state.advertised_at = fraction, now


def allowed_fraction(state: ApiState) -> int:
    """Return the fraction of the tiers' amounts that is used, in millionths."""
    return min(state.learned_fraction, state.advertised_fraction)


def record_latency(state: ApiState, now: int, latencies: LatencySummary) -> None:
    """Add the latencies of answers, and begin a new period if it is time."""
    if now >= state.period_started + PERIOD:
        is_recent = now < state.period_started + 2 * PERIOD
        state.lowest_latency_before = state.lowest_latency if is_recent else 0
        state.samples_before = state.samples if is_recent else 0
        state.warm_samples_before = state.warm_samples if is_recent else 0
        state.latency_sum_before = state.latency_sum if is_recent else 0
        state.lowest_latency, state.samples, state.warm_samples, state.latency_sum = 0, 0, 0, 0
        state.period_started = now
    if latencies.samples:
        state.lowest_latency = min(state.lowest_latency or latencies.lowest_latency, latencies.lowest_latency)
        state.samples += latencies.samples
        state.warm_samples += latencies.warm_samples
        state.latency_sum += latencies.latency_sum


def latency_credit(state: ApiState, now: int) -> int:
    """Return how much earlier than a window after an answer the next request may start.

    The server counted a request some time before its answer reached us, and counts the next one some time after it
    starts. Together that is at least the lowest possible round trip. The lowest latency seen is the closer to it, the
    more samples there are and the less they differ. A tenth is left as a margin.
    """
    samples = state.samples + state.samples_before
    warm_samples = state.warm_samples + state.warm_samples_before
    if samples < SAMPLES or warm_samples < WARM_SAMPLES or now < state.strict_until:
        return 0
    lowest = min(latency for latency in (state.lowest_latency, state.lowest_latency_before) if latency)
    spread = max(0, (state.latency_sum + state.latency_sum_before) // samples - lowest)
    return max(0, lowest - max(SECOND // 100, lowest // 10, 4 * spread // isqrt(samples)))


def effective_window(window: int, credited: int) -> int:
    """Return the window to keep after an answer's moment."""
    return window - min(credited, window // 4) if window <= LONGEST_CREDITED else window
