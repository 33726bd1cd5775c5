"""The least possible time, against the plainest simulation, and the figures of the design."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItem, RateLimitItemPerSecond, parse_many

from import_pipeline.rules.forecast import eta, fitted, ideal_ratio, minimum_seconds, remaining_seconds

REAL = parse_many("500/20 second; 2000/100 second")
SCALED = parse_many("50/2 second; 200/10 second")


def simulated(requests: int, tiers: list[RateLimitItem], history: list[float]) -> float:
    """Send one request after the other, at the latest of (n-th newest + w) over the tiers."""
    log = sorted(history)
    for _ in range(requests):
        free = [log[-tier.amount] + tier.get_expiry() for tier in tiers if len(log) >= tier.amount]
        log.append(max([0.0, *log[-1:], *free]))
    return max(0.0, log[-1])


@pytest.mark.parametrize(
    ("requests", "tiers", "expected"),
    [
        (0, REAL, 0),
        (1, REAL, 0),
        (500, REAL, 0),
        (501, REAL, 20),
        (2_000, REAL, 60),
        (2_501, REAL, 120),
        (10_000, REAL, 460),
        (1_000_000, REAL, 49_960),
        (1_001, SCALED, 50),
        (1_212, SCALED, 60),
        (1_000_000, parse_many("1/1 second"), 999_999),
        (1_000_000, parse_many("1/1 second; 50/1 minute"), 1_199_989),
        (1_000_000, [], 0),
    ],
)
def test_known_figures_come_at_once(requests: int, tiers: list[RateLimitItem], expected: float) -> None:
    began = time.process_time()
    assert minimum_seconds(requests, tiers) == expected
    assert time.process_time() - began < 0.5


small_tiers = st.lists(
    st.builds(RateLimitItemPerSecond, st.integers(1, 7), st.integers(1, 9)),
    min_size=1,
    max_size=3,
)


@given(requests=st.integers(1, 60), tiers=small_tiers)
def test_equals_the_simulation_from_empty_windows(requests: int, tiers: list[RateLimitItem]) -> None:
    assert minimum_seconds(requests, tiers) == simulated(requests, tiers, [])


@given(
    requests=st.integers(1, 40),
    tiers=small_tiers,
    history=st.lists(st.integers(-12, 0).map(float), max_size=7),
)
def test_equals_the_simulation_with_a_history(requests: int, tiers: list[RateLimitItem], history: list[float]) -> None:
    assert minimum_seconds(requests, tiers, history) == simulated(requests, tiers, history)


def test_the_ratio_says_nothing_without_a_minimum() -> None:
    assert (ideal_ratio(10.0, 0.0), ideal_ratio(10.0, 8.0)) == (None, 1.25)


def test_the_eta_is_the_slower_of_the_limits_and_the_pace() -> None:
    assert eta(501, REAL) == 20
    assert eta(501, REAL, per_second=10) == 50.1
    assert eta(501, REAL, per_second=1000) == 20


@pytest.mark.parametrize(
    ("moments", "used", "history"),
    [
        ([], [], []),
        ([-1.0, -2.0], [(10.0, 2)], [-2.0, -1.0]),
        # More were sent than are known: since the latest that is known.
        ([-1.0, -2.0], [(10.0, 4)], [-2.0, -1.0, -0.5, 0.0]),
        # Other users have sent them, at any time.
        ([], [(10.0, 2)], [-5.0, 0.0]),
        # What the longer window alone holds was sent before the shorter one.
        ([-1.0], [(10.0, 1), (100.0, 3)], [-55.0, -10.0, -1.0]),
        ([-1.0, 5.0, -200.0], [(10.0, 1), (100.0, 1)], [-1.0]),
    ],
)
def test_the_history_fits_what_the_limiter_counts(moments, used, history):
    assert fitted(moments, used) == history


def test_what_needed_no_request_is_left_out_of_the_history():
    assert fitted([-1.0, -2.0, -3.0, -4.0], [(10.0, 2)], all_sent=False) == [-3.0, -1.0]
    assert len(fitted([-1.0, -2.0, -3.0, -4.0], [(10.0, 2)])) == 4


def test_the_rest_takes_what_the_limits_need_after_the_pause_or_the_pace_seen_so_far():
    tiers = SCALED
    full = [-0.5] * 50
    assert remaining_seconds(0, tiers, full) == 0.0
    assert remaining_seconds(1, tiers, full) == pytest.approx(1.5, abs=0.06)
    assert remaining_seconds(1, tiers, full, paused_seconds=1.0) == pytest.approx(1.5, abs=0.06)
    assert remaining_seconds(1, tiers, full, paused_seconds=60.0) == 60.0
    assert remaining_seconds(100, tiers, per_second=10.0) == 10.0
    assert remaining_seconds(100, (), per_second=10.0) == 10.0
    assert remaining_seconds(100, ()) == 0.0


def test_a_million_requests_are_forecast_at_once_and_well():
    tiers = REAL
    assert remaining_seconds(1_000_000, tiers) == pytest.approx(minimum_seconds(1_000_000, tiers), rel=0.003)
