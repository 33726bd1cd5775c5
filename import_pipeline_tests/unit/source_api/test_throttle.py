"""Tiers, the kinds of window, and the decisions."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_api.errors import BadOption
from source_api.throttle import Decision, LimitStatus, Throttle, Tier, WindowKind, parse_tiers


def tier(amount: int, seconds: int) -> Tier:
    return Tier(amount=amount, seconds=seconds)


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("500/20 second; 2000/100 second", (tier(500, 20), tier(2000, 100))),
        ("5 per minute, 7/hour", (tier(5, 60), tier(7, 3600))),
        ("none", ()),
        (" None ", ()),
    ],
)
def test_tiers_are_written_as_in_limits(text, tiers):
    assert parse_tiers(text) == tiers


@pytest.mark.parametrize("text", ["", "5", "500/20", "0/second", "5/s", "many"])
def test_what_is_no_tier_is_refused_in_a_sentence(text):
    with pytest.raises(BadOption) as refused:
        parse_tiers(text)
    expected = "tiers such as '500/20 second; 2000/100 second', or 'none'"
    assert str(refused.value) == f"--limits: expected {expected}, got {text!r}"


# Each row: the kind, the seconds of a tier of 2, and one client's arrivals as (now, wait, remaining, reset).
KINDS = [
    (WindowKind.SLIDING, 10, [(0, 0, 1, 10), (9, 0, 0, 1), (9.5, 0.5, 0, 0.5), (10, 0, 0, 9), (18, 1, 0, 1)]),
    (WindowKind.FIXED, 10, [(0, 0, 1, 10), (9, 0, 0, 1), (9.5, 0.5, 0, 0.5), (10, 0, 1, 10), (11, 0, 0, 9)]),
    (WindowKind.BUCKET, 8, [(0, 0, 1, 4), (1, 0, 0, 3), (2, 2, 0, 2), (4, 0, 0, 4), (20, 0, 1, 4)]),
]


@pytest.mark.parametrize(("kind", "seconds", "arrivals"), KINDS)
def test_each_kind_of_window_counts_in_its_own_way(kind, seconds, arrivals):
    throttle = Throttle((tier(2, seconds),), kind)
    for now, wait, remaining, reset in arrivals:
        expected = Decision(wait=wait, status=LimitStatus(limit=2, remaining=remaining, reset=reset))
        assert (now, throttle.arrive("me", now)) == (now, expected)


def test_a_refused_request_takes_no_place_in_any_tier():
    throttle = Throttle((tier(1, 1), tier(2, 100)))
    assert throttle.arrive("me", 0.0).admitted
    assert [throttle.arrive("me", 0.5).admitted for _ in range(5)] == [False] * 5
    assert throttle.arrive("me", 1.0) == Decision(wait=0, status=LimitStatus(limit=2, remaining=0, reset=99.0))
    assert throttle.arrive("me", 2.0) == Decision(wait=98.0, status=LimitStatus(limit=2, remaining=0, reset=98.0))


def test_of_two_equally_full_tiers_the_slower_one_is_reported():
    throttle = Throttle((tier(3, 1), tier(3, 60)))
    assert throttle.arrive("me", 0.0).status == LimitStatus(limit=3, remaining=2, reset=60.0)


def test_clients_are_counted_apart_and_forgotten_on_request():
    throttle = Throttle((tier(1, 10),))
    assert [throttle.arrive(client, 0.0).admitted for client in ("a", "b", "a")] == [True, True, False]
    throttle.forget()
    assert throttle.arrive("a", 0.0).admitted


def test_without_tiers_everything_is_admitted_and_nothing_reported():
    assert Throttle(()).arrive("me", 0.0) == Decision(wait=0.0, status=None)


@pytest.mark.parametrize(("wait", "seconds"), [(0.001, 1), (1.0, 1), (1.001, 2), (19.5, 20)])
def test_retry_after_is_rounded_up_to_whole_seconds(wait, seconds):
    assert Decision(wait=wait, status=None).retry_after == seconds


@dataclass(frozen=True)
class Traffic:
    tiers: tuple[Tier, ...]
    arrivals: list[float]


TIERS = st.lists(st.builds(Tier, amount=st.integers(1, 6), seconds=st.integers(1, 8)), min_size=1, max_size=3)
# Eighths of a second are exact in binary, so that waits can be stated without a tolerance.
EIGHTHS = st.integers(0, 240).map(lambda eighth: eighth / 8)
ANY_TIME = st.floats(0, 30) | EIGHTHS


def traffic(times):
    arrivals = st.lists(times, max_size=80).map(sorted)
    return st.builds(Traffic, tiers=TIERS.map(tuple), arrivals=arrivals)


@given(traffic(ANY_TIME))
def test_no_window_of_any_tier_ever_holds_more_than_its_amount(traffic):
    throttle = Throttle(traffic.tiers)
    decisions = [(now, throttle.arrive("me", now)) for now in traffic.arrivals]
    admitted = [now for now, decision in decisions if decision.admitted]
    for each in traffic.tiers:
        assert all(early + each.seconds <= late for early, late in zip(admitted, admitted[each.amount :], strict=False))
    assert all(decision.status.remaining >= 0 for _, decision in decisions)


@given(traffic(EIGHTHS))
def test_a_request_is_refused_only_while_a_tier_is_full_and_admitted_after_exactly_its_wait(traffic):
    throttle = Throttle(traffic.tiers)
    admitted: list[float] = []
    for now in traffic.arrivals:
        decision = throttle.arrive("me", now)
        held = {each: sum(now - time < each.seconds for time in admitted) for each in traffic.tiers}
        assert decision.admitted == all(held[each] < each.amount for each in traffic.tiers)
        if decision.admitted:
            admitted.append(now)
        else:
            later = now + decision.wait
            assert all(sum(later - time < each.seconds for time in admitted) < each.amount for each in traffic.tiers)
            assert any(sum(later - 0.125 - t < each.seconds for t in admitted) >= each.amount for each in traffic.tiers)
