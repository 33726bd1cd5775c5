"""The exchange in Python, against the plain reference and against strict servers on any network."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.ratelimit.protocol import (
    SECOND,
    ExchangeReply,
    ExchangeRequest,
    Outcome,
    PermitRequest,
    Settlement,
)
from import_pipeline_tests.support.limiter_stories import (
    DAY,
    LONG_TIERS,
    FakeTimeMemory,
    ReferenceModel,
    Step,
    StepPlayer,
    VirtualTime,
    steps,
)
from source_api.throttle import Throttle, Tier, WindowKind


def calm(step: Step, **changes: Any) -> Step:
    """Return the step without refusals and without limits from a server."""
    settled = [pick for pick in step.picks if pick[1] in (Outcome.ANSWERED, Outcome.CUT_OFF, Outcome.UNUSED)]
    return Step(step.process, step.gap, step.wanted, step.lifetime, settled, costs=step.costs, **changes)


@given(steps, st.sampled_from([0, 0, 1, 3]))
def test_grants_what_the_plain_reference_grants(played: list[Step], concurrent: int) -> None:
    """Every step grants exactly what the definition of a window says, costs and requests in flight included."""
    time, reference = VirtualTime(), ReferenceModel(concurrent=concurrent)
    player = StepPlayer(time, [FakeTimeMemory(time)])
    for step in played:
        ask, (result,) = player.play(calm(step, concurrent=concurrent))
        reference.settle(ask, (), time.now)
        expected = [start - time.now for start in reference.starts(ask.wanted, time.now)]
        assert list(result.starts) == expected
        reference.settle(ExchangeRequest(api="", process="", tiers=(), wanted=ask.wanted), result.starts, time.now)


@given(steps)
def test_long_tiers_grant_no_more_than_the_reference_and_hardly_less(played: list[Step]) -> None:
    """Counted in hundredths: what is granted, the exact rule would grant; what is not, it would not 1.1% earlier."""
    time, strict = VirtualTime(), ReferenceModel(LONG_TIERS)
    loose = ReferenceModel([(n, w + w // 90 if w >= DAY else w) for n, w in LONG_TIERS])
    player = StepPlayer(time, [FakeTimeMemory(time)])
    for step in played:
        if step.gap >= SECOND:
            player.out.clear()  # no answer comes after its request's deadline
        ask, (result,) = player.play(calm(step, tiers=LONG_TIERS))
        for reference in (strict, loose):
            reference.settle(ask, (), time.now)
        granted = len(result.starts)
        assert len(loose.starts(ask.wanted, time.now)) <= granted <= len(strict.starts(ask.wanted, time.now))
        for reference in (strict, loose):
            reference.settle(ExchangeRequest(api="", process="", tiers=(), wanted=ask.wanted), result.starts, time.now)


@given(steps)
def test_sleep_never_exceeds_the_time_that_passed_and_never_shrinks(played: list[Step]) -> None:
    """Overlapping pauses and refusals count each second once."""
    time = VirtualTime()
    player = StepPlayer(time, [FakeTimeMemory(time)])
    began, before = time.now, 0
    for step in played:
        _, (result,) = player.play(step)
        assert before - 60_000 <= result.slept <= time.now - began  # a grant looks 30 ms ahead
        before = result.slept


@dataclass(order=True)
class Event:
    """Something that happens at a moment; `turn` keeps equal moments in order."""

    moment: int
    turn: int
    act: Callable[[], None]


class World:
    """Processes that ask as the dispatcher does, a network of given delays, and a strict server."""

    def __init__(
        self, kind: WindowKind, tiers: tuple[tuple[int, int], ...], delays: list[tuple[int, int, int]]
    ) -> None:
        self.time = VirtualTime()
        self.store = FakeTimeMemory(self.time)
        self.tiers = tiers
        # Its seconds are microseconds here: whole numbers, so that a place comes free at the exact moment.
        self.server = Throttle(tuple(Tier(amount=n, seconds=w) for n, w in tiers), kind)
        self.delays = delays
        self.sent = self.arrived = self.refused = self.turns = 0
        self.events: list[Event] = []
        self.settled: dict[str, list[tuple[str, int]]] = {"a": [], "b": []}

    def at(self, moment: int, act: Callable[[], None]) -> None:
        self.turns += 1
        heapq.heappush(self.events, Event(moment, self.turns, act))

    def run(self, requests: int) -> None:
        for process in self.settled:
            self.at(self.time.now, lambda process=process: self.ask(process, requests))  # type: ignore[misc]
        while self.events:
            event = heapq.heappop(self.events)
            self.time.now = event.moment
            event.act()

    def ask(self, process: str, requests: int) -> None:
        wanted = tuple(
            PermitRequest(permit=f"{process}{self.turns}.{number}", lifetime=5 * SECOND)
            for number in range(min(4, requests - self.sent))
        )
        settled = tuple(
            Settlement(permit=permit, outcome=Outcome.ANSWERED, age=self.time.now - moment)
            for permit, moment in self.settled[process]
        )
        self.settled[process] = []
        result = self.store.exchange(
            ExchangeRequest(api="x", process=process, tiers=self.tiers, settled=settled, wanted=wanted)
        )
        self.send(process, wanted, result)
        if self.sent < requests or self.settled[process]:
            self.at(self.time.now + max(result.wait, 10_000), lambda: self.ask(process, requests))

    def send(self, process: str, wanted: tuple[PermitRequest, ...], result: ExchangeReply) -> None:
        for each, start in zip(wanted, result.starts, strict=False):
            lag, before, after = self.delays[self.sent % len(self.delays)]
            self.sent += 1
            arrival = min(self.time.now + start + lag + before, self.time.now + start + each.lifetime)
            self.at(arrival, self.arrive)
            if after >= 0:  # below: the answer gets lost, and its permit expires by itself
                answer = arrival + after
                self.at(answer, lambda each=each, answer=answer: self.settled[process].append((each.permit, answer)))  # type: ignore[misc]

    def arrive(self) -> None:
        self.arrived += 1
        self.refused += not self.server.arrive("client", self.time.now).admitted


#: Nothing arrives in no time; the bucket's sums of fractions need that much.
micros = st.one_of(st.just(1), st.integers(1, 300_000), st.integers(1, 6 * SECOND))


@pytest.mark.parametrize("kind", WindowKind)
@given(
    tiers=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 8).map(lambda s: s * SECOND)), min_size=1, max_size=3),
    delays=st.lists(st.tuples(micros, micros, st.one_of(micros, st.just(-1))), min_size=1, max_size=12),
)
def test_a_strict_server_never_refuses(
    kind: WindowKind, tiers: list[tuple[int, int]], delays: list[tuple[int, int, int]]
) -> None:
    """Two processes, any delay before sending, before and after the arrival, lost answers: no 429."""
    world = World(kind, tuple(tiers), delays)
    world.run(requests=25)
    assert (world.arrived, world.refused) == (25, 0)


def test_all_tiers_or_none() -> None:
    """A refusal by one tier spends no place in another."""
    time = VirtualTime()
    store = FakeTimeMemory(time)
    tiers = ((2, 100 * SECOND), (10, SECOND))

    def ask(names: str) -> ExchangeReply:
        wanted = tuple(PermitRequest(permit=name, lifetime=SECOND) for name in names)
        return store.exchange(ExchangeRequest(api="x", process="1", tiers=tiers, wanted=wanted, count_units=True))

    assert ask("ab").starts == (0, 0)
    assert [ask(name).used for name in "cdefgh"] == [(2, 2)] * 6


def test_the_wait_is_read_off_the_place_that_comes_free() -> None:
    """Two places per ten seconds, answered at 1 and 4 s: the waits end at 11 and 14 s, less the look-ahead."""
    time = VirtualTime()
    store = FakeTimeMemory(time)
    tiers = ((2, 10 * SECOND),)
    began = time.now

    def ask(names: str, *settled: Settlement) -> ExchangeReply:
        wanted = tuple(PermitRequest(permit=name, lifetime=30 * SECOND) for name in names)
        return store.exchange(ExchangeRequest(api="x", process="1", tiers=tiers, wanted=wanted, settled=settled))

    ask("ab")
    time.now = began + 5 * SECOND
    answers = [
        Settlement(permit=name, outcome=Outcome.ANSWERED, age=age * SECOND) for name, age in (("a", 4), ("b", 1))
    ]
    refused = ask("cd", *answers)
    assert (refused.starts, refused.wait) == ((), 6 * SECOND - 30_000)
    time.now = began + 11 * SECOND - 20_000
    granted = ask("cd")
    assert (granted.starts, granted.wait) == ((20_000,), 3 * SECOND + 20_000 - 30_000)


def test_nothing_grows_without_bound() -> None:
    """After ten thousand answered permits, only those of the longest window are kept."""
    world = World(WindowKind.SLIDING, ((50, SECOND), (200, 8 * SECOND)), [(0, 1000, 1000)])
    world.run(requests=10_000)
    (_, stamps, _) = world.store._apis["x"]
    assert world.refused == 0
    assert stamps.later_than(0) <= 200 + 3 * 50  # those of two more seconds, and what the look-ahead gave out
