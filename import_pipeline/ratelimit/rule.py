"""The exchange itself, for stores inside of Python; `exchange.lua` is the same rule for Redis.

A permit occupies its place in a tier from its grant until a window after its answer. A server counts a request when it
arrives, somewhere between the two: so no stretch of a window's length sees more arrivals than the tier allows.
"""

from collections.abc import Sequence
from typing import Protocol

from import_pipeline.ratelimit.exchange import SECOND, Ask, Exchange, Outcome
from import_pipeline.ratelimit.learning import Window, credit, effective_window, hear, measure, part, relax, tighten
from import_pipeline.ratelimit.pause import (
    POLL,
    WHOLE,
    Shared,
    blocked_until,
    fall_asleep,
    refuse,
    slept,
    wake,
)

FRESH = 2 * SECOND  #: how old a sighting may be; stamps are kept that much longer than the longest window


class Stamps(Protocol):
    """Per permit the latest moment at which the server can have counted its request."""

    def put(self, permit: str, moment: int) -> None:
        """Add a permit, or move it."""
        ...

    def remove(self, permit: str) -> None:
        """Forget a permit, if it is there."""
        ...

    def newest(self, skip: int, count: int) -> Sequence[int]:
        """That many moments, newest first, after skipping some."""
        ...

    def later_than(self, moment: int) -> int:
        """How many are later."""
        ...

    def first_after(self, moment: int) -> int | None:
        """The oldest that is later."""
        ...

    def forget(self, until: int) -> None:
        """Drop all that are not later."""
        ...


def exchange(shared: Shared, stamps: Stamps, ask: Ask, now: int, *, lost: bool = False) -> Exchange:
    """Settle, then grant what the pause and all tiers allow; changes `shared` and `stamps`."""
    shared.keep = max(shared.keep, *(window for _, window in ask.tiers), 0)
    relax(shared, now)
    hear(shared, now, ask.told)
    measure(shared, now, ask.quickest, ask.samples)
    count_others(stamps, ask, now)
    settle(shared, stamps, ask, now)
    stamps.forget(now - shared.keep - FRESH)
    starts, wait = grant(shared, stamps, ask, now)
    return Exchange(
        starts=tuple(start - now for start in starts),
        wait=wait,
        pause=max(0, shared.pause - now),
        probing=shared.probing > 0,
        lost=lost,
        hits=shared.hits,
        sleeps=shared.sleeps,
        slept=slept(shared, now),
        part=part(shared),
        used=tuple(stamps.later_than(now - window) for _, window in ask.tiers) if ask.count else (),
    )


def count_others(stamps: Stamps, ask: Ask, now: int) -> None:
    """Where a server counts more than all that we can have sent, somebody else uses the key: stamp those as well.

    Every request of ours that it can have counted stands in the window as of the moment of sending.
    """
    for each in ask.sightings:
        amount, window = ask.tiers[each.tier]
        if each.age <= FRESH:
            others = min(each.used, amount) - stamps.later_than(now - each.age - window)
            for number in range(others):
                stamps.put(f"other {now} {each.tier} {number}", now)


def settle(shared: Shared, stamps: Stamps, ask: Ask, now: int) -> None:
    """Take in what became of permits."""
    for each in ask.settled:
        if each.outcome is Outcome.ANSWERED or each.outcome is Outcome.FLYING:
            if ask.tiers:
                stamps.put(each.permit, now - each.age + each.wait)
            if each.permit == shared.probe and each.outcome is Outcome.ANSWERED:
                shared.probing, shared.probe = 0, ""
            continue
        stamps.remove(each.permit)
        tried = each.permit == shared.probe
        if tried:
            shared.probing, shared.probe = 1, ""
        if each.outcome is Outcome.REFUSED:
            again = shared.pause <= now
            refuse(shared, now, now - each.age + each.wait)
            if ask.tiers and not tried:  # after a pause the windows have emptied, and say nothing
                windows = [met(stamps, tier, now - each.age) for tier in ask.tiers]
                tighten(shared, now, each.wait, windows, again=again)


def met(stamps: Stamps, tier: tuple[int, int], moment: int) -> Window:
    """What a request that was refused at that moment met in a tier's window."""
    amount, window = tier
    count, oldest = stamps.later_than(moment - window), stamps.first_after(moment - window)
    return Window(count * WHOLE // amount, window if oldest is None else min(oldest - moment, 0) + window)


def grant(shared: Shared, stamps: Stamps, ask: Ask, now: int) -> tuple[list[int], int]:
    """The moments at which permits may start, and when to ask again for the rest (from now; 0: there is no rest)."""
    until = blocked_until(shared, now)
    if not ask.wanted or until > now:
        if ask.wanted:
            fall_asleep(shared, now, until)
        return [], max(0, until - now)
    wanted = ask.wanted[:1] if shared.probing else ask.wanted
    starts = first_starts(stamps, in_effect(shared, ask.tiers, now), len(wanted), now)
    granted = [start for start in starts if start <= now + ask.look_ahead]
    for each, start in zip(wanted, granted, strict=False):
        if ask.tiers:
            stamps.put(each.permit, start + each.lifetime)
    if granted:
        wake(shared, granted[0])
        if shared.probing:
            shared.probing, shared.probe = 2, wanted[0].permit
            shared.probe_until = granted[0] + wanted[0].lifetime
    if len(granted) == len(ask.wanted):
        return granted, 0
    free = starts[len(granted)] if len(granted) < len(starts) else now + POLL
    fall_asleep(shared, now, free)
    return granted, max(0, free - ask.look_ahead - now)


def in_effect(shared: Shared, tiers: Sequence[tuple[int, int]], now: int) -> list[tuple[int, int]]:
    """The tiers as what was learned changes them."""
    portion, credited = part(shared), credit(shared, now)
    return [(max(1, amount * portion // WHOLE), effective_window(window, credited)) for amount, window in tiers]


def first_starts(stamps: Stamps, tiers: Sequence[tuple[int, int]], asked: int, now: int) -> list[int]:
    """The earliest moment for each of so many permits: in every tier, a window after the n-th newest before it.

    One that can still arrive frees its place a window from now at the earliest.
    """
    starts = [now] * asked
    for places, window in tiers:
        reach = min(asked, places)
        newest = stamps.newest(places - reach, reach)
        for j in range(asked):
            if j >= places:
                starts[j] = max(starts[j], now + window)
            elif reach - 1 - j < len(newest):
                starts[j] = max(starts[j], min(newest[reach - 1 - j], now) + window)
    return starts
