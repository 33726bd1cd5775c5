"""Limits learned from servers that are stricter than configured: worked examples."""

import pytest

from import_pipeline.ratelimit.algorithm import trials
from import_pipeline.ratelimit.algorithm.adaptation import (
    KEPT_PROFILES,
    PERIOD,
    SAMPLES,
    WARM_SAMPLES,
    Window,
    apply_advertised,
    effective_window,
    latency_credit,
    record_latency,
    tighten,
)
from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState
from import_pipeline.ratelimit.protocol import SECOND, LatencySummary, Outcome, ReportedUsage, Settlement
from import_pipeline_tests.support.limiter_stories import LimiterClient

CONFIGURED = ((50, 2 * SECOND), (200, 10 * SECOND))


def answered(*permits: str) -> list[Settlement]:
    return [Settlement(permit=permit, outcome=Outcome.ANSWERED) for permit in permits]


def refused(*permits: str, wait: float) -> list[Settlement]:
    """Return refusals of requests that were sent with the answered ones."""
    outcome, latency = Outcome.REFUSED, SECOND // 10
    return [
        Settlement(permit=permit, outcome=outcome, wait=round(wait * SECOND), latency=latency) for permit in permits
    ]


def test_a_lower_limit_is_learned_from_those_in_flight_at_the_first_refusal() -> None:
    """The server grants 40 of 50 and asks to wait until our first request leaves: all tiers shrink to 80%."""
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 50)
    story.at(0.05, 0, *answered(*burst[:40]), *refused(*burst[40:], wait=2))
    assert (story.result.allowed_fraction, story.result.hits) == (800_000, 10)
    (probe,) = story.at(2.1, 50)
    assert len(story.at(2.2, 50, *answered(probe))) == 39 + 1  # one request tries for more
    assert story.result.allowed_fraction == 800_000


def test_a_second_refusal_after_the_pause_tightens_further() -> None:
    """Each new episode takes a tenth at least; requests in flight at its beginning do not count."""
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 50)
    story.at(0.05, 0, *answered(*burst[:48]), *refused(*burst[48:], wait=2))
    assert story.result.allowed_fraction == 960_000
    (probe,) = story.at(2.1, 5)
    second = story.at(2.2, 47, *answered(probe))
    story.at(2.3, 0, *answered(*second[:45]), *refused(*second[45:47], wait=2))
    assert story.result.allowed_fraction == 864_000


def test_a_refused_probe_teaches_nothing() -> None:
    """After a pause the windows are empty; others' requests in the server's windows are no lower limit."""
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 50)
    story.at(0.05, 0, *answered(*burst[:45]), *refused(*burst[45:], wait=2))
    (probe,) = story.at(2.1, 5)
    story.at(2.2, 0, *refused(probe, wait=1))
    assert story.result.allowed_fraction == 900_000


def test_never_below_a_tenth() -> None:
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 50)
    story.at(0.05, 0, *refused(*burst, wait=2))
    assert story.result.allowed_fraction == 100_000


def test_what_others_with_the_key_sent_takes_our_places() -> None:
    """The server counts 30 of 50 where we can have sent 10: 20 were others', and only 20 places are left."""
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 10)
    seen = ReportedUsage(tier=0, used=30, age=round(0.1 * SECOND))
    story.at(0.1, 0, *answered(*burst), reported_usage=(seen,))
    assert story.result.used == (30, 30)
    story.at(0.1, 0, reported_usage=(seen,))
    assert story.result.used == (30, 30)  # they are counted once
    assert len(story.at(0.2, 50)) == 20
    story.at(1, 0, reported_usage=(ReportedUsage(tier=0, used=50, age=3 * SECOND),))
    assert story.result.used == (50, 50)


def test_units_that_a_smaller_tier_of_ours_explains_belong_to_no_other_user() -> None:
    """The server names the limit of 200 with what remains of the 50: 40, of which our own ten requests are missing."""
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 10)
    story.at(0.1, 0, *answered(*burst))
    (last,) = story.at(0.2, 1)
    seen = ReportedUsage(tier=1, used=200 - (50 - 11), age=round(0.1 * SECOND))
    story.at(0.3, 0, *answered(last), reported_usage=(seen,))
    assert story.result.used == (11, 11)
    story.at(0.4, 0, reported_usage=(ReportedUsage(tier=1, used=190, age=round(0.1 * SECOND)),))
    assert story.result.used == (190, 190), "ten remain: of 50 we have not taken 40"


def test_what_left_our_window_since_the_sending_is_no_others() -> None:
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 10)
    story.at(0.1, 0, *answered(*burst))
    story.at(2.15, 0, reported_usage=(ReportedUsage(tier=0, used=10, age=round(0.2 * SECOND)),))
    assert story.result.used == (0, 10)


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ([(0, 800_000)], 800_000),
        ([(0, 800_000), (1, WHOLE)], 800_000),  # another of its limits, which is as configured
        ([(0, 800_000), (1, 600_000), (2, 700_000)], 600_000),
        ([(0, 800_000), (61, WHOLE)], WHOLE),  # nothing lower was named for a while
        ([(0, 0)], WHOLE),
    ],
)
def test_the_lowest_recent_fraction_in_headers_counts(heard: list[tuple[int, int]], expected: int) -> None:
    shared = ApiState()
    for moment, fraction in heard:
        apply_advertised(shared, moment * SECOND, fraction)
    assert shared.advertised_fraction == expected


def latencies(number: int, *, lowest_latency: int, mean: int = 0, warm_samples: int = WARM_SAMPLES) -> LatencySummary:
    """Return a summary of `number` answers, of which some came on warm connections."""
    return LatencySummary(
        samples=number,
        warm_samples=warm_samples,
        lowest_latency=lowest_latency,
        latency_sum=number * (mean or lowest_latency),
    )


@pytest.mark.parametrize(
    ("summary", "strict", "expected"),
    [
        (latencies(SAMPLES, lowest_latency=200_000, mean=205_000), False, 180_000),  # less a tenth
        (latencies(SAMPLES - 1, lowest_latency=200_000, mean=205_000), False, 0),
        (latencies(SAMPLES, lowest_latency=200_000, mean=205_000, warm_samples=WARM_SAMPLES - 1), False, 0),
        (latencies(SAMPLES, lowest_latency=200_000, mean=205_000), True, 0),
        (latencies(SAMPLES, lowest_latency=50_000), False, 40_000),  # less ten milliseconds at least
        (latencies(SAMPLES, lowest_latency=8_000), False, 0),
        (
            latencies(50, lowest_latency=30_000, mean=90_000),
            False,
            0,
        ),  # they differ much, and are few: a quicker one may come
        (latencies(1_000, lowest_latency=45_000, mean=90_000), False, 35_000),  # they differ much, but are many
    ],
)
def test_the_delay_that_never_varies_is_credited(summary: LatencySummary, strict: bool, expected: int) -> None:
    shared = ApiState(strict_until=10 * SECOND if strict else 0)
    record_latency(shared, SECOND, summary)
    assert latency_credit(shared, SECOND) == expected


@pytest.mark.parametrize(("outcome", "free"), [(Outcome.ANSWERED, 0.82), (Outcome.CUT_OFF, 1.0)])
def test_what_answers_took_says_nothing_of_a_request_whose_connection_broke(outcome: Outcome, free: float) -> None:
    """The server may have counted it just before; after it an answer would still have been under way."""
    story = LimiterClient(((1, SECOND),))
    (permit,) = story.at(0, 1, latencies=latencies(SAMPLES, lowest_latency=200_000))
    story.at(1, 0, Settlement(permit=permit, outcome=outcome))
    assert story.at(1 + free - 0.04, 1) == []
    assert len(story.at(1 + free, 1)) == 1


@pytest.mark.parametrize("epoch", [0, 99 * SECOND])
def test_a_refusal_ends_the_credit_for_two_minutes(epoch: int) -> None:
    """Others may have caused it too, before the store knew of us."""
    shared = ApiState(epoch=epoch, longest_window=10 * SECOND, period_started=100 * SECOND)
    tighten(shared, 100 * SECOND, 7 * SECOND, [Window(taken_fraction=WHOLE // 2, frees_in=SECOND)], again=True)
    record_latency(shared, 219 * SECOND, latencies(SAMPLES, lowest_latency=200_000))
    assert (latency_credit(shared, 219 * SECOND), latency_credit(shared, 220 * SECOND)) == (0, 180_000)


def test_the_quickest_answer_counts_for_a_period_and_the_next() -> None:
    shared = ApiState()
    record_latency(shared, PERIOD, latencies(SAMPLES, lowest_latency=100_000))
    record_latency(shared, PERIOD + 1, latencies(SAMPLES, lowest_latency=120_000))
    assert latency_credit(shared, PERIOD + 1) == 90_000
    record_latency(shared, 2 * PERIOD, latencies(SAMPLES, lowest_latency=110_000))
    assert latency_credit(shared, 2 * PERIOD) == 90_000
    record_latency(shared, 3 * PERIOD, latencies(SAMPLES, lowest_latency=110_000))
    assert latency_credit(shared, 3 * PERIOD) == 99_000
    record_latency(shared, 9 * PERIOD, LatencySummary())
    assert latency_credit(shared, 9 * PERIOD) == 0


@pytest.mark.parametrize(
    ("window", "credited", "expected"),
    [
        (SECOND, 180_000, 820_000),
        (SECOND, 400_000, 750_000),  # a quarter at most
        (10 * SECOND, 180_000, 9_820_000),
        (20 * SECOND, 180_000, 20 * SECOND),  # not worth a risk
    ],
)
def test_the_credit_shortens_short_windows(window: int, credited: int, expected: int) -> None:
    assert effective_window(window, credited) == expected


def test_what_was_learned_is_tried_soon_and_rises_with_each_trial_that_is_admitted() -> None:
    """One request above 40 of 50, then two and four at once, until all that is configured is used."""
    story = LimiterClient(CONFIGURED)
    burst = story.at(0, 50)
    story.at(0.05, 0, *answered(*burst[:40]), *refused(*burst[40:], wait=2))
    (probe,) = story.at(2.1, 50)
    sent = story.at(2.2, 50, *answered(probe))
    parts = []
    while len(sent) > 0:
        sent = story.at(2.3, 50, *answered(*sent))
        parts.append(story.result.allowed_fraction)
    assert parts == [820_000, 860_000, 940_000, WHOLE]
    assert story.result.used == (50, 90)


def test_a_trial_that_is_refused_lowers_nothing_and_the_next_one_waits_for_a_hundred_requests() -> None:
    story = LimiterClient(CONFIGURED[:1])
    burst = story.at(0, 50)
    story.at(0.05, 0, *answered(*burst[:40]), *refused(*burst[40:], wait=2))
    (probe,) = story.at(2.1, 50)
    *admitted, trial = story.at(2.2, 50, *answered(probe))
    story.at(2.3, 0, *answered(*admitted), *refused(trial, wait=2))
    assert story.result.allowed_fraction == 800_000
    (probe,) = story.at(4.4, 50)
    story.at(4.45, 0, *answered(probe))
    numbers = []
    for turn in range(4):
        sent = story.at(4.5 + 2.2 * turn, 50)
        numbers.append(len(sent))
        story.at(4.6 + 2.2 * turn, 0, *answered(*sent))
    assert numbers == [39, 40, 40, 41]


def test_a_hundred_requests_rest_after_the_first_trial_and_two_hundred_after_the_second() -> None:
    shared = ApiState(learned_fraction=WHOLE // 2)
    rests = []
    for number in range(6):
        shared.trials = {str(number): [trials.FRACTION, 9, 1]}
        assert trials.refused(shared, str(number), again=True)
        rests.append(shared.rate_rise[trials.REST])
    assert rests == [100, 200, 400, 800, 1600, 1600]


WRONG, RIGHT = ((500, 20 * SECOND),), ((50, 2 * SECOND),)


def test_an_advertised_fraction_holds_for_its_own_tiers() -> None:
    """One process believes in ten times what the server names; one that is configured rightly is not slowed by it."""
    story = LimiterClient(WRONG)
    story.at(0, 0, advertised_fraction=WHOLE // 10)
    assert len(story.at(0, 100)) == 50
    story.tiers = RIGHT
    assert len(story.at(70, 100)) == 50
    story.tiers = WRONG
    assert len(story.at(140, 100)) == 50, "it is still known of the others"


def test_limits_that_are_corrected_begin_anew_after_refusals() -> None:
    story = LimiterClient(WRONG)
    permits = story.at(0, 60)
    refusal = Settlement(permit=permits[-1], outcome=Outcome.REFUSED, wait=2 * SECOND)
    story.at(1, 0, *(Settlement(permit=each, outcome=Outcome.ANSWERED) for each in permits[:50]), refusal)
    assert story.result.allowed_fraction < WHOLE
    story.tiers = RIGHT
    story.at(5, 0)
    assert story.result.allowed_fraction == WHOLE


def test_of_many_differing_tiers_the_latest_are_remembered() -> None:
    story = LimiterClient(WRONG)
    story.at(0, 0, advertised_fraction=WHOLE // 10)
    for amount in range(1, KEPT_PROFILES + 1):
        story.tiers = ((amount, SECOND),)
        story.at(0, 0, advertised_fraction=WHOLE // 2)
    story.tiers = WRONG
    story.at(0, 0)
    assert story.result.allowed_fraction == WHOLE // 10
    for amount in range(1, KEPT_PROFILES + 2):
        story.tiers = ((amount, SECOND),)
        story.at(0, 0)
    story.tiers = WRONG
    story.at(0, 0)
    assert story.result.allowed_fraction == WHOLE
