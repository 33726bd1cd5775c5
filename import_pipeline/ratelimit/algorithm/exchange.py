"""The exchange itself, for stores inside of Python; `lua/` holds the same rule for Redis.

A permit occupies its places in a tier from its grant until a window after its answer. A server counts a request when it
arrives, somewhere between the two: so no stretch of a window's length sees more arrivals than the tier allows.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from import_pipeline.ratelimit.algorithm import bucketed_window, inferred_tiers, trials
from import_pipeline.ratelimit.algorithm.adaptation import (
    STRICT_AFTER,
    Window,
    apply_advertised,
    latency_credit,
    part,
    record_latency,
    tighten,
)
from import_pipeline.ratelimit.algorithm.api_permits import ApiPermits
from import_pipeline.ratelimit.algorithm.corrections import correct
from import_pipeline.ratelimit.algorithm.start_times import above, first_landings, first_starts, in_effect
from import_pipeline.ratelimit.algorithm.state import (
    POLL,
    WHOLE,
    ApiState,
    begin_wait,
    blocked_until,
    end_wait,
    refuse,
    slept,
)
from import_pipeline.ratelimit.algorithm.stored_adaptation import select_profile
from import_pipeline.ratelimit.protocol import SECOND, ExchangeReply, ExchangeRequest, Outcome, Settlement

KEEPS_ITS_PLACE = (Outcome.ANSWERED, Outcome.CUT_OFF, Outcome.FLYING)
NO_HINT = -SECOND  #: a wait that fits no window
NEAR = 8  #: places that are free within such a part of the window may be so already where the server counts
FRESH = 2 * SECOND  #: how old a sighting may be; stamps are kept that much longer than the longest window


def exchange(
    book: ApiPermits, ask: ExchangeRequest, now: int, *, lost: bool = False, emptied: bool = False
) -> ExchangeReply:
    """Settle, then grant what the pause and all tiers allow; changes what is known."""
    shared, stamps = book.shared, book.stamps
    is_learning = not ask.tiers
    trials.forget(shared, now)
    select_profile(shared, ask.tiers)
    correct(shared, ask)
    bucketed_window.forget(shared.counts, now)
    if is_learning:
        inferred_tiers.learn(shared, stamps, ask, now)
        ask = replace(ask, tiers=inferred_tiers.tiers(shared))
    book.use(ask.tiers)
    short = [window for amount, window in ask.tiers if not bucketed_window.is_bucketed(amount, window)]
    shared.keep = max(shared.keep, *short, 0)
    apply_advertised(shared, now, ask.told)
    record_latency(shared, now, ask.delays)
    count_others(book, ask, now)
    count_again(book, ask, now)
    settle(book, ask, now, is_learning=is_learning)
    if is_learning:
        ask = replace(ask, tiers=inferred_tiers.tiers(shared))
        book.use(ask.tiers)
    stamps.forget(now - shared.keep - FRESH)
    if ask.concurrent:
        book.flying.forget(now)
    starts, wait = grant(book, ask, inferred_tiers.kept_back(shared) if is_learning else (), now)
    return ExchangeReply(
        starts=tuple(start - now for start in starts),
        wait=wait,
        pause=max(0, shared.pause - now),
        probing=shared.probing > 0,
        lost=lost,
        emptied=emptied,
        hits=shared.hits,
        sleeps=shared.sleeps,
        slept=slept(shared, now),
        part=part(shared),
        found=ask.tiers if is_learning else (),
        flying=book.flying.later_than(now) if ask.concurrent else 0,
        at_once=shared.at_once,
        used=tuple(book.taken(*tier, now - tier[1]) for tier in ask.tiers) if ask.count else (),
    )


def count_others(book: ApiPermits, ask: ExchangeRequest, now: int) -> None:
    """Where a server counts more than all that we can have sent, somebody else uses the key: count those as well.

    Every request of ours that it can have counted stands in the window as of the moment of sending.
    """
    for each in ask.sightings:
        amount, window = ask.tiers[each.tier]
        if each.age <= FRESH:
            others = min(each.used, amount) - book.taken(amount, window, now - each.age - window)
            if others > 0 and speaks_of_another(book, ask, amount - each.used, amount, now - each.age):
                continue
            if others > 0 and bucketed_window.is_bucketed(amount, window):
                bucketed_window.add(book.shared.counts, window, now, others)
                continue
            for number in range(others):
                book.put(f"other {now} {each.tier} {number}", 1, now)


def speaks_of_another(book: ApiPermits, ask: ExchangeRequest, remaining: int, amount: int, sent: int) -> bool:
    """Whether so many places remain in a smaller tier of ours: then the server named the wrong limit with them.

    It can have counted all that were sent by then, and has counted those that were answered.
    """
    for smaller, window in ask.tiers:
        if smaller < amount and not bucketed_window.is_bucketed(smaller, window):
            most = book.stamps.later_than(sent - window)
            least = book.stamps.later_than(sent - window + window // NEAR) - book.stamps.later_than(sent)
            if least <= smaller - remaining <= most:
                return True
    return False


def count_again(book: ApiPermits, ask: ExchangeRequest, now: int) -> None:
    """What a store that was emptied is told of long tiers."""
    for amount, window in ask.tiers:
        if bucketed_window.is_bucketed(amount, window):
            for each in ask.counted:
                bucketed_window.add(book.shared.counts, window, now - each.age, each.places)


def settle(book: ApiPermits, ask: ExchangeRequest, now: int, *, is_learning: bool) -> None:
    """Take in what became of permits. `is_learning`: no tiers are configured, so refusals tell which there are."""
    shared = book.shared
    for each in ask.settled:
        if ask.concurrent:
            book.flying.remove(each.permit)
        if each.outcome in KEEPS_ITS_PLACE:
            moment = now - each.age + each.wait
            if each.outcome is Outcome.CUT_OFF:
                moment += latency_credit(shared, now)  # what answers took says nothing of it: its window is a whole one
            if each.outcome is Outcome.ANSWERED:
                trials.landed(shared, moment, each.took)
                trials.admitted(shared, each.permit, now)
            elif each.outcome is Outcome.CUT_OFF:
                shared.trials.pop(each.permit, None)
            if ask.tiers or is_remembered(shared):
                book.put(each.permit, each.cost, moment)
            if ask.concurrent and each.outcome is Outcome.FLYING:
                book.flying.put(each.permit, moment)
            if each.permit == shared.probe and each.outcome is Outcome.CUT_OFF:
                shared.probing, shared.probe = 1, ""
            if each.permit == shared.probe and each.outcome is Outcome.ANSWERED:
                shared.probing, shared.probe = 0, ""
                trials.judge(shared)
                if is_learning and shared.refused_at:
                    inferred_tiers.infer_from_refusal(shared, book.stamps, moment, now)
                    ask = replace(ask, tiers=inferred_tiers.tiers(shared))
                    book.use(ask.tiers)
            continue
        book.remove(each.permit, each.cost)
        tried = each.permit == shared.probe
        if tried:
            shared.probing, shared.probe = 1, ""
        if each.outcome is Outcome.HELD:
            shared.strict_until = now + max(STRICT_AFTER, 5 * shared.keep)
            trials.refused(shared, each.permit, again=shared.pause <= now)
            refuse(shared, now, now - each.age + each.wait, is_guess=each.is_guess)
        if each.outcome is Outcome.REFUSED:
            refused(book, ask, each, now, teaches=not tried and not is_learning)
        else:
            shared.trials.pop(each.permit, None)


def is_remembered(shared: ApiState) -> bool:
    """Whether requests without any tier are remembered one by one: something is found out by them."""
    return shared.refused_at > 0 or shared.at_once > 0


def refused(book: ApiPermits, ask: ExchangeRequest, each: Settlement, now: int, *, teaches: bool) -> None:
    """The server refused a request: all pause, and what it admitted before is held against the configured tiers.

    A probe teaches nothing: after a pause the windows have emptied. Nor does a trial: it was too early for one. Tiers
    that were learned have their own way.
    """
    shared, moment = book.shared, now - each.age
    again = shared.pause <= now
    is_explained = trials.refused(shared, each.permit, again=again)

    def taken(since: int) -> int:
        return book.stamps.later_than(moment - since)

    if again and not is_explained:
        refusal = trials.Refusal(
            moment=moment,
            sent=moment - each.took,
            beside=taken(each.took),
            in_flight=book.stamps.later_than(now),
        )
        is_explained = trials.explain(shared, refusal, taken)
        if is_explained:
            shared.refused_at = 0
    if is_explained or not again:
        trials.correct(shared, taken)
    refuse(shared, now, moment + each.wait, is_guess=each.is_guess)
    if is_explained:
        return
    if teaches:
        windows = [met(book, tier, moment) for tier in ask.tiers]
        # A wait that we guessed says nothing about which window was full.
        tighten(shared, now, NO_HINT if each.is_guess else each.wait, windows, again=again)


def met(book: ApiPermits, tier: tuple[int, int], moment: int) -> Window:
    """What a request that was refused at that moment met in a tier's window."""
    amount, window = tier
    taken = book.taken(amount, window, moment - window)
    if bucketed_window.is_bucketed(amount, window):
        free = bucketed_window.first_free(book.shared.counts, window)
        return Window(taken * WHOLE // amount, window if free is None else free - moment)
    oldest = book.stamps.first_after(moment - window)
    return Window(taken * WHOLE // amount, window if oldest is None else min(oldest - moment, 0) + window)


def grant(
    book: ApiPermits, ask: ExchangeRequest, kept_back: Sequence[tuple[int, int]], now: int
) -> tuple[list[int], int]:
    """The moments at which permits may start, and when to ask again for the rest (from now; 0: there is no rest)."""
    shared = book.shared
    until = blocked_until(shared, now)
    if not ask.wanted or until > now:
        if ask.wanted:
            begin_wait(shared, now, until)
        return [], max(0, until - now)
    wanted = ask.wanted[:1] if shared.probing else ask.wanted
    amounts = in_effect(shared, ask, kept_back, now)
    starts = first_starts(book, amounts, [each.cost for each in wanted], now)
    landings = first_landings(book, ask.concurrent, shared.at_once, len(wanted), now)
    granted = list(takewhile(lambda start: start <= now + ask.look_ahead, map(max, starts, landings)))
    starts = list(map(max, starts, landings))
    if len(granted) < len(wanted) and not shared.probing and trials.are_due(shared):
        granted += above(book, ask, amounts, len(granted), now)
    trials.granted(shared, len(granted))
    for each, start in zip(wanted, granted, strict=False):
        if ask.tiers or is_remembered(shared):
            book.put(each.permit, each.cost, start + each.lifetime)
        if ask.concurrent:
            book.flying.put(each.permit, start + each.lifetime)
    if granted:
        end_wait(shared, granted[0])
        if shared.probing:
            shared.probing, shared.probe = 2, wanted[0].permit
            shared.probe_until = granted[0] + wanted[0].lifetime
    if len(granted) == len(ask.wanted):
        return granted, 0
    free = starts[len(granted)] if len(granted) < len(starts) else now + POLL
    begin_wait(shared, now, free)
    return granted, max(0, free - ask.look_ahead - now)
