"""The state that all processes share about one API: the clock, the pause, the probe after it, the waits.

Pure: every function takes the state and the moment, in microseconds. `stores/lua/10_state.lua` does the same in Redis.
"""

from dataclasses import dataclass, field

from import_pipeline.ratelimit.protocol import SECOND

GAP = SECOND  #: a refusal within this after the end of a wait continues that wait
POLL = SECOND // 20  #: how often waiting processes check if the probe was answered
REJOIN = 2 * SECOND  #: how long a store that lost its data waits for the processes to replay it
WHOLE = 1_000_000  #: fractions of the tiers' amounts are in millionths


@dataclass(slots=True)
class ApiState:
    """The state of one API. All moments are on the store's own clock."""

    clock_offset: int = 0  #: the store's clock minus the machine's
    last_now: int = 0  #: the last moment that the store returned to any process
    epoch: int = 0  #: when the store first heard of this API
    previous_epoch: int = 0  #: the epoch before this one, if the store was set back
    rejoin_until: int = 0  #: no request starts before: processes replay their permits
    paused_until: int = 0  #: no request starts before: the server refused one
    hinted_until: int = 0  #: the part of the pause that the server itself named; the rest is our guess
    probing: int = 0  #: 0: no pause, or it is over; 1: one request has to try first; 2: it is in flight
    probe: str = ""  #: the permit of that request
    probe_until: int = 0  #: when that request can no longer arrive
    hits: int = 0  #: answers of "too many requests"
    sleeps: int = 0  #: intervals in which a permit was refused
    slept: int = 0  #: their sum, up to `sleep_until`
    sleep_until: int = 0  #: the expected end of the current wait, or the end of the last one
    asleep: int = 0  #: 1 from a refused permit to the next grant
    longest_window: int = 0  #: how long answered permits are kept, without bucketed tiers
    learned_fraction: int = WHOLE  #: the fraction of the configured amounts that refusals suggest
    advertised_fraction: int = WHOLE  #: the fraction of the configured amounts that headers name
    advertised_at: int = 0
    profile: str = ""  #: the configured tiers that those three belong to
    other_profiles: dict[str, list[int]] = field(default_factory=dict)  #: the same three of other configured tiers
    inferred_concurrency: int = 0  #: the number of requests in flight that refusals suggest; 0: any number
    crowd_size: int = 0  #: the crowd: requests in flight when the pause began. 0: it was judged
    crowd_from: int = 0  #: when the first of them was sent
    crowd_until: int = 0  #: requests sent later do not belong to it
    crowd_admitted: int = 0  #: how many of them the server admitted
    refused_concurrency: int = 0  #: the size of the crowd that led to `inferred_concurrency`
    concurrency_blamed: int = 0  #: 1: the last refusal was attributed to `inferred_concurrency`
    rate_rise: list[int] = field(default_factory=lambda: [1, 0, 0, 0])  #: see trials.py
    flight_rise: list[int] = field(default_factory=lambda: [1, 0, 0, 0])
    last_raised: int = 0  #: the kind of the last admitted trial of a rate
    trials: dict[str, list[int]] = field(default_factory=dict)  #: permit -> kind, latest arrival, units
    lowest_latency: int = 0  #: of this period; 0: no answer yet
    lowest_latency_before: int = 0  #: of the period before
    samples: int = 0
    samples_before: int = 0
    warm_samples: int = 0  #: samples on connections that had brought an answer before
    warm_samples_before: int = 0
    latency_sum: int = 0
    latency_sum_before: int = 0
    period_started: int = 0
    strict_until: int = 0  #: no latency credit before
    refused_at: int = 0  #: when the server refused a request although no tier is configured; 0: it did not
    advertised_full_at: int = 0  #: when headers last named an inferred tier as full
    #: Per inferred tier: amount, window, last sign of it, shortest possible window, and its first amount if a refusal
    #: led to it (0 if headers named it).
    inferred_tiers: list[list[int]] = field(default_factory=list)
    bucket_counts: dict[str, dict[str, int]] = field(default_factory=dict)  #: see bucketed_window.py
    configured_limits: dict[str, str] = field(default_factory=dict)  #: by source, see corrections.py


def tick(state: ApiState, raw: int) -> int:
    """Return the store's now for a machine's clock of `raw`. It may stop, but never goes back."""
    now = max(raw + state.clock_offset, state.last_now)
    state.clock_offset, state.last_now = now - raw, now
    return now


def begin(state: ApiState, raw: int, epoch: int, last_seen: int) -> tuple[int, bool, bool]:
    """Return the store's now, and if the store lost a part or all of its data.

    `epoch` and `last_seen` are the epoch and the moment that the calling process saw last. A store that lost data
    grants nothing until every living process has had the time to replay its permits.
    """
    rolled_back = last_seen > state.last_now
    lost = epoch > 0 and (rolled_back or epoch != state.epoch)
    now = tick(state, raw)
    emptied = lost and epoch not in (state.epoch, state.previous_epoch)
    if not state.epoch or (rolled_back and epoch == state.epoch):
        state.previous_epoch, state.epoch, state.rejoin_until = state.epoch, now, 0
    if lost and not state.rejoin_until:
        state.rejoin_until = now + REJOIN
    return now, lost, emptied


def extended(pause: int, now: int, wait: int) -> tuple[int, int]:
    """Return the end of a pause after a request to wait from now on, and by how much it grew. It never shrinks."""
    until = max(pause, now + wait)
    return until, until - max(pause, min(now, until))


def begin_wait(state: ApiState, now: int, until: int) -> None:
    """Record that a permit has to wait until then. Overlapping waits are one, so each second counts once."""
    start = max(now, state.sleep_until)
    if state.asleep and now <= state.sleep_until + GAP:
        start = state.sleep_until
    elif until > start:
        state.sleeps += 1
    if until > start:
        state.slept += until - start
        state.sleep_until, state.asleep = until, 1


def end_wait(state: ApiState, start: int) -> None:
    """Record that a request may start then: the current wait ends there, not at its expected end."""
    if state.asleep and start <= state.sleep_until + GAP:
        state.slept += start - state.sleep_until
        state.sleep_until = start
    state.asleep = 0


def slept(state: ApiState, now: int) -> int:
    """Return the time slept until now, without the rest of the current wait."""
    return state.slept - max(0, state.sleep_until - now)


def pause(state: ApiState, now: int, until: int, *, is_guess: bool = False) -> None:
    """Pause all processes after a refusal; one request tries first afterwards."""
    state.hits += 1
    state.paused_until, _ = extended(state.paused_until, now, until - now)
    if not is_guess:
        state.hinted_until = max(state.hinted_until, until)
    if state.paused_until > now:
        state.probing = 1
        begin_wait(state, now, state.paused_until)


def blocked_until(state: ApiState, now: int) -> int:
    """Return the moment before which no request may start, whatever the tiers allow; in the past if there is none."""
    until = max(state.paused_until, state.rejoin_until)
    if state.probing == 2:
        until = max(until, min(state.probe_until, now + POLL))
    return until
