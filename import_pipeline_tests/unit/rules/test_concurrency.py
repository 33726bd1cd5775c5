"""The number of requests in flight."""

import pytest
from limits import parse_many

from import_pipeline.rules.concurrency import in_flight, mean_latency

FELT = "50/2 second; 200/10 second"  # 20 a second in the long run


@pytest.mark.parametrize(
    ("limits", "latency", "expected"),
    [
        (FELT, 0.0, 10),  # answers at once: the least will do
        (FELT, 0.25, 10),
        (FELT, 0.5, 20),  # 20/s x 0.5 s, twice
        (FELT, 1.01, 41),
        (FELT, 60.0, 100),  # never more than the most
        ("500/20 second; 2000/100 second", 2.0, 80),
        (None, 5.0, 10),  # without limits: the least
    ],
)
def test_as_many_as_the_limits_allow_while_an_answer_takes(limits, latency, expected):
    tiers = parse_many(limits) if limits else []
    assert in_flight(tiers, latency, least=10, most=100) == expected


def test_what_a_person_asked_for_counts_more_than_the_ceiling():
    assert in_flight(parse_many(FELT), 1.0, least=30, most=20) == 30


def test_the_mean_begins_with_the_first_answer_and_follows_slowly():
    assert mean_latency(None, 0.5) == 0.5
    assert mean_latency(0.5, 1.0) == pytest.approx(0.6)
