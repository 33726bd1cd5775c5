"""What all processes share about an api besides its stamps: the clock, the pause, the probe after it, the sleep.

Pure: every function takes the state and the moment, all in microseconds. `lua/` does the same in Redis.
"""

from dataclasses import dataclass, field

from import_pipeline.ratelimit.protocol import SECOND

GAP = SECOND  #: a sleep goes on when somebody is refused again within this after its end
POLL = SECOND // 20  #: how often those who wait look whether the probe was answered
REJOIN = 2 * SECOND  #: what a store that lost its stamps waits for the processes that know them
WHOLE = 1_000_000  #: the learned part of the tiers' amounts is in millionths


@dataclass(slots=True)
class ApiState:
    """The state of one api. All moments are on the store's own clock."""

    offset: int = 0  #: what the store's clock is ahead of the machine's
    seen: int = 0  #: the last moment that anybody was told
    epoch: int = 0  #: when the store began to know of this api
    hold: int = 0  #: nobody sends before, since stamps are being told again
    pause: int = 0  #: nobody sends before, since the server refused a request
    hinted: int = 0  #: the part of the pause that the server itself named; the rest is a guess of ours
    probing: int = 0  #: 0: the pause is over; 1: one request has to try; 2: it is under way
    probe_until: int = 0  #: when that request can no longer arrive
    hits: int = 0
    sleeps: int = 0
    slept: int = 0  #: up to `sleep_until`
    sleep_until: int = 0  #: when the sleep that goes on is expected to end, or the last one ended
    asleep: int = 0  #: 1 from a refusal to the next grant
    keep: int = 0  #: the longest window
    learned: int = WHOLE  #: the part of the tiers' amounts that refusals left, in millionths
    told: int = WHOLE  #: the part that the server's headers name
    told_at: int = 0
    lessons_of: str = ""  #: the configured tiers that those three are about
    set_aside: dict[str, list[int]] = field(default_factory=dict)  #: the same about other tiers, see lessons.py
    at_once: int = 0  #: requests that may be in flight, as refusals made believe; 0: any number
    crowd: int = 0  #: how many were in flight when the pause began, until that is judged
    crowd_at: int = 0  #: when that was
    crowd_till: int = 0  #: what was sent later does not belong to it
    landed: int = 0  #: how many of them were admitted
    crowded_at: int = 0  #: the crowd that led to `at_once`
    blamed: int = 0  #: 1: the last refusal was put down to `at_once`
    rate_rise: list[int] = field(default_factory=lambda: [1, 0, 0, 0])  #: see trials.py
    raised: int = 0  #: the kind of the trial about the rate that was admitted last
    flight_rise: list[int] = field(default_factory=lambda: [1, 0, 0, 0])
    trials: dict[str, list[int]] = field(default_factory=dict)  #: permit -> kind, last arrival, places
    quickest: int = 0  #: the quickest answer of this period, 0: none
    quickest_before: int = 0
    samples: int = 0
    samples_before: int = 0
    standing: int = 0  #: the samples on connections that had brought an answer before
    standing_before: int = 0
    spent: int = 0  #: what all answers of this period took together
    spent_before: int = 0
    turned: int = 0  #: when the period began
    strict_until: int = 0  #: no credit for delays before
    before: int = 0  #: the epoch that this one goes on from, where the store was set back
    refused_at: int = 0  #: when the server refused a request without any tier being known; 0: it did not
    named_full_at: int = 0  #: when headers last named a learned tier of which nothing was left
    probe: str = ""
    #: Of each learned tier: amount, window, last sign of it, shortest window that it may have, and its first amount
    #: where it was found by being refused; 0: it was named.
    found: list[list[int]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  #: places of long tiers, see hundredths.py
    configured: dict[str, str] = field(default_factory=dict)  #: the limits of each source, see corrected.py


def tick(shared: ApiState, raw: int) -> int:
    """The store's now for a machine's clock of `raw`: it never goes back, it stands still instead."""
    now = max(raw + shared.offset, shared.seen)
    shared.offset, shared.seen = now - raw, now
    return now


def begin(shared: ApiState, raw: int, epoch: int, seen: int) -> tuple[int, bool, bool]:
    """The store's now, whether it lost what the asking process knows from an `epoch` up to `seen`, and whether all.

    A store that was emptied or set back waits until every living process has told again what it knows.
    """
    rolled_back = seen > shared.seen
    lost = epoch > 0 and (rolled_back or epoch != shared.epoch)
    now = tick(shared, raw)
    emptied = lost and epoch not in (shared.epoch, shared.before)
    if not shared.epoch or (rolled_back and epoch == shared.epoch):
        shared.before, shared.epoch, shared.hold = shared.epoch, now, 0
    if lost and not shared.hold:
        shared.hold = now + REJOIN
    return now, lost, emptied


def extended(pause: int, now: int, wait: int) -> tuple[int, int]:
    """The pause after a wish to wait from now on, and how much longer that is: extended, never shortened."""
    until = max(pause, now + wait)
    return until, until - max(pause, min(now, until))


def begin_wait(shared: ApiState, now: int, until: int) -> None:
    """Somebody is refused until then. Overlapping sleeps are one: each second counts once."""
    start = max(now, shared.sleep_until)
    if shared.asleep and now <= shared.sleep_until + GAP:
        start = shared.sleep_until
    elif until > start:
        shared.sleeps += 1
    if until > start:
        shared.slept += until - start
        shared.sleep_until, shared.asleep = until, 1


def end_wait(shared: ApiState, start: int) -> None:
    """Somebody may send from `start` on: the sleep, if any, ends there and not when it was expected to."""
    if shared.asleep and start <= shared.sleep_until + GAP:
        shared.slept += start - shared.sleep_until
        shared.sleep_until = start
    shared.asleep = 0


def slept(shared: ApiState, now: int) -> int:
    """The time slept until now, without what is still to come."""
    return shared.slept - max(0, shared.sleep_until - now)


def refuse(shared: ApiState, now: int, until: int, *, is_guess: bool = False) -> None:
    """The server refused a request: all pause, and one request tries first afterwards."""
    shared.hits += 1
    shared.pause, _ = extended(shared.pause, now, until - now)
    if not is_guess:
        shared.hinted = max(shared.hinted, until)
    if shared.pause > now:
        shared.probing = 1
        begin_wait(shared, now, shared.pause)


def blocked_until(shared: ApiState, now: int) -> int:
    """The moment before which nobody may send, whatever the tiers say; not after now: nothing is in the way."""
    until = max(shared.pause, shared.hold)
    if shared.probing == 2:
        until = max(until, min(shared.probe_until, now + POLL))
    return until
