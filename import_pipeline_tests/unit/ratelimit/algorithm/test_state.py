"""The shared pause and the sleep: worked examples on a clock in seconds."""

import pytest

from import_pipeline.ratelimit.algorithm.state import REJOIN, ApiState, begin, extended, tick
from import_pipeline.ratelimit.protocol import (
    SECOND,
    ExchangeReply,
    ExchangeRequest,
    Outcome,
    PermitRequest,
    Settlement,
)
from import_pipeline_tests.support.limiter_stories import FakeTimeMemory, VirtualTime


@pytest.mark.parametrize(
    ("pause", "now", "wait", "expected"),
    [
        (0, 0, 10, (10, 10)),
        (10, 5, 10, (15, 5)),  # the design's example: only the five more seconds count
        (10, 5, 3, (10, 0)),  # never shortened
        (10, 20, 5, (25, 5)),
        (10, 10, 0, (10, 0)),
        (0, 10, -5, (5, 0)),
    ],
)
def test_a_pause_is_extended_and_never_shortened(pause: int, now: int, wait: int, expected: tuple[int, int]) -> None:
    assert extended(pause, now, wait) == expected


class Story:
    """Asks of named processes at moments in seconds."""

    def __init__(self, amount: int = 2) -> None:
        self.tiers = ((amount, 10 * SECOND),)
        self.time = VirtualTime()
        self.start = self.time.now
        self.store = FakeTimeMemory(self.time)

    def at(self, moment: float, process: str, names: str = "", *settled: Settlement) -> ExchangeReply:
        self.time.now = self.start + round(moment * SECOND)
        wanted = tuple(PermitRequest(permit=name, lifetime=30 * SECOND) for name in names)
        return self.store.exchange(
            ExchangeRequest(api="x", process=process, tiers=self.tiers, wanted=wanted, settled=settled)
        )


def refused(permit: str, wait: float) -> Settlement:
    return Settlement(permit=permit, outcome=Outcome.REFUSED, wait=round(wait * SECOND))


def answered(permit: str) -> Settlement:
    return Settlement(permit=permit, outcome=Outcome.ANSWERED)


def test_seconds_of_overlapping_pauses_count_once() -> None:
    """At 0 a pause of 10; at 5 one until 15; at 6 a shorter one: 15 seconds in one sleep, over all processes."""
    story = Story()
    story.at(0, "1", "ab")
    assert story.at(0, "1", "", refused("a", 10)).pause == 10 * SECOND
    assert story.at(5, "2", "", refused("b", 10)).slept == 5 * SECOND
    assert story.at(6, "1", "", refused("x", 2)).pause == 9 * SECOND
    end = story.at(15, "1")
    assert (end.hits, end.sleeps, end.slept, end.pause) == (3, 1, 15 * SECOND, 0)
    assert story.at(40, "1").slept == 15 * SECOND


def test_nothing_is_sent_in_a_pause_and_one_request_tries_first() -> None:
    """After the pause one process gets one permit; the others wait for its answer, then for the tiers alone."""
    story = Story(200)
    story.at(0, "1", "ab")
    story.at(0.5, "1", "", answered("b"))
    story.at(1, "1", "", refused("a", 4))
    assert story.at(4.999, "2", "cd").starts == ()
    probe = story.at(5, "1", "ef")
    assert (probe.starts, probe.probing) == ((0,), True)
    assert story.at(5.01, "2", "gh").starts == ()
    assert story.at(5.05, "1", "", answered("e")).probing is False
    freed = story.at(11, "2", "ij")
    assert (freed.starts, freed.probing) == ((0, 0), False)


def test_a_refused_probe_pauses_again_and_a_lost_one_is_replaced() -> None:
    story = Story(200)
    story.at(0, "1", "a")
    story.at(0, "1", "", refused("a", 1))
    assert story.at(1, "1", "b").starts == (0,)
    assert story.at(1.1, "1", "", refused("b", 2)).pause == 2 * SECOND
    assert story.at(3.1, "2", "c").starts == (0,)
    # Process 2 dies: when its request can no longer arrive, another one tries.
    assert story.at(33.0, "1", "d").starts == ()
    assert story.at(33.2, "1", "d").starts == (0,)


@pytest.mark.parametrize("outcome", [Outcome.UNUSED, Outcome.CUT_OFF])
def test_a_probe_without_an_answer_is_passed_to_the_next(outcome: Outcome) -> None:
    story = Story(200)
    story.at(0, "1", "a")
    story.at(0, "1", "", refused("a", 1))
    story.at(1, "1", "b")
    after = story.at(1.1, "2", "cd", Settlement(permit="b", outcome=outcome))
    assert (after.starts, after.probing) == ((0,), True)


def test_waiting_for_a_tier_is_a_sleep_from_the_refusal_to_the_next_grant() -> None:
    """Refused at 1 and 2 by two processes, granted at 10.5: one sleep of 9.5 seconds."""
    story = Story()
    story.at(0, "1", "ab")
    story.at(0.5, "1", "", answered("a"), answered("b"))
    story.at(1, "1", "c")
    story.at(2, "2", "d")
    result = story.at(10.5, "2", "d")
    assert (result.starts, result.sleeps, result.slept) == ((0,), 1, round(9.5 * SECOND))


def test_a_process_that_dies_while_it_waits_does_not_sleep_for_ever() -> None:
    story = Story()
    story.at(0, "1", "ab")
    story.at(0, "1", "", answered("a"), answered("b"))
    story.at(4, "1", "c")
    result = story.at(500, "2", "d")
    assert (result.sleeps, result.slept) == (1, 6 * SECOND)


def test_the_clock_stands_still_rather_than_to_go_back() -> None:
    shared = ApiState()
    assert [tick(shared, raw) for raw in (100, 150, 50, 60, 200)] == [100, 150, 150, 160, 300]


def test_a_store_that_was_emptied_waits_for_those_who_know() -> None:
    """The first who notices starts two seconds, the second does not prolong them; a newcomer notices nothing."""
    before, after = ApiState(), ApiState()
    begin(before, 100, 0, 0)
    assert begin(after, 1_000, before.epoch, before.last_now) == (1_000, True, True)
    assert after.rejoin_until == 1_000 + REJOIN
    assert begin(after, 2_000, before.epoch, before.last_now) == (2_000, True, True)
    assert begin(after, 3_000, 0, 0) == (3_000, False, False)
    assert after.rejoin_until == 1_000 + REJOIN
    assert begin(after, 4_000, after.epoch, 2_000) == (4_000, False, False)


def test_a_store_that_was_set_back_is_noticed_too() -> None:
    """An old backup knows the same beginning, but less of what came after."""
    now, backup = ApiState(), ApiState()
    begin(now, 100, 0, 0)
    begin(backup, 100, 0, 0)
    begin(now, 5_000, now.epoch, 100)
    assert begin(backup, 6_000, now.epoch, now.last_now) == (6_000, True, False)
    assert begin(backup, 6_001, now.epoch, now.last_now) == (
        6_001,
        True,
        False,
    )  # another process that knew the same beginning
    assert backup.rejoin_until == 6_000 + REJOIN
