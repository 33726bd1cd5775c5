"""Tiers of an API without configured limits: named by headers, or inferred from refusals."""

from import_pipeline.ratelimit.algorithm.inferred_tiers import TIER_LIFETIME
from import_pipeline.ratelimit.protocol import SECOND, AdvertisedLimit, Outcome, Settlement
from import_pipeline_tests.support.limiter_stories import LimiterClient


def refused(permit: str, wait: float) -> Settlement:
    return Settlement(permit=permit, outcome=Outcome.REFUSED, wait=round(wait * SECOND))


def test_a_burst_and_the_wait_after_it_are_the_window() -> None:
    """Fifty were admitted at once; the next was refused with a wait until two seconds after: 50 per 2 s."""
    story = LimiterClient()
    story.time.now = story.start + SECOND // 10
    story.at(0.1, 0, *story.free_answers(0.02, 50), refused("late", 2))
    assert (story.result.inferred_tiers, story.result.pause) == ((), 2 * SECOND)
    (probe,) = story.at(2.1, 9)
    story.at(2.15, 0, Settlement(permit=probe, outcome=Outcome.ANSWERED))
    assert story.result.inferred_tiers == ((50, 2 * SECOND),)
    assert len(story.at(2.2, 90)) == 49 + 1  # the probe has a place already, and one request tries for more


def test_those_in_flight_at_the_first_refusal_count_where_they_are_admitted() -> None:
    """The server counts arrivals; twenty of its fifty were answered a little later than the refusal."""
    story = LimiterClient()
    story.time.now = story.start + SECOND // 10
    story.at(0.1, 0, *story.free_answers(0.02, 30), refused("late", 2))
    story.time.now = story.start + SECOND // 5
    story.at(0.2, 0, *story.free_answers(0.15, 20))
    (probe,) = story.at(2.1, 9)
    story.at(2.15, 0, Settlement(permit=probe, outcome=Outcome.ANSWERED))
    assert story.result.inferred_tiers == ((50, 2 * SECOND),)


def test_a_second_tier_is_found_beside_the_first() -> None:
    story = LimiterClient()
    story.time.now = story.start + SECOND // 10
    story.at(0.1, 0, *story.free_answers(0.02, 50), refused("late", 2))
    (probe,) = story.at(2.1, 9)
    story.at(2.15, 0, Settlement(permit=probe, outcome=Outcome.ANSWERED))
    *burst, trial = story.at(2.2, 50)
    story.at(2.3, 0, *(Settlement(permit=name, outcome=Outcome.ANSWERED) for name in burst), refused(trial, 2))
    (probe,) = story.at(4.35, 50)
    burst = story.at(4.4, 50, Settlement(permit=probe, outcome=Outcome.ANSWERED))
    story.at(4.5, 0, *(Settlement(permit=name, outcome=Outcome.ANSWERED) for name in burst))
    burst = story.at(6.6, 50)
    story.at(6.7, 0, *(Settlement(permit=name, outcome=Outcome.ANSWERED) for name in burst))
    assert len(burst) == 50
    (late,) = story.at(8.8, 1)
    story.at(8.9, 0, refused(late, 1.3))
    (probe,) = story.at(10.3, 9)
    story.at(10.35, 0, Settlement(permit=probe, outcome=Outcome.ANSWERED))
    assert story.result.inferred_tiers == ((50, 2 * SECOND), (200, 10 * SECOND))


def test_what_was_found_shrinks_when_it_was_not_enough() -> None:
    story = LimiterClient()
    story.time.now = story.start + SECOND // 10
    story.at(0.1, 0, *story.free_answers(0.02, 20), refused("late", 2))
    (probe,) = story.at(2.1, 1)
    story.at(2.15, 0, Settlement(permit=probe, outcome=Outcome.ANSWERED))
    assert (story.result.inferred_tiers, story.result.allowed_fraction) == (((20, 2 * SECOND),), 1_000_000)
    began = 10.0
    for _ in range(3):
        burst = story.at(began, 12)
        story.at(began + 0.02, 0, *(Settlement(permit=name, outcome=Outcome.ANSWERED) for name in burst[1:]))
        story.at(began + 0.1, 0, refused(burst[0], 2))
        (probe,) = story.at(began + 2.1, 1)
        story.at(began + 2.15, 0, Settlement(permit=probe, outcome=Outcome.ANSWERED))
        began += 10
    ((amount, window),) = story.result.inferred_tiers
    assert (amount, window) <= (20, 2 * SECOND)
    assert len(story.at(began + 10, 50)) < 17


def test_headers_name_the_limit_and_its_window() -> None:
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(50, 1, 2.2))
    assert story.result.inferred_tiers == ((50, 2 * SECOND),)
    assert story.at(0.4, 1) == []  # the others have half a second to report their requests
    assert len(story.at(0.6, 60)) == 50


def answered(*names: str, age: float = 0.0) -> list[Settlement]:
    return [Settlement(permit=name, outcome=Outcome.ANSWERED, age=round(age * SECOND)) for name in names]


def advertised(limit: int, used: int, reset: float, latency: float = 0.0) -> tuple[AdvertisedLimit]:
    return (AdvertisedLimit(limit=limit, used=used, reset=round(reset * SECOND), latency=round(latency * SECOND)),)


def test_a_reset_is_reckoned_from_the_oldest_request_that_is_counted() -> None:
    """Ten are counted, the first of which was answered at 0.2 s; at 3.2 s its place comes free in 7 s: ten seconds."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(200, 1, 9.1))
    story.at(0.2, 0, *answered(*(f"p{n}" for n in range(10))))
    story.at(3.2, 0, advertised_limits=advertised(200, 10, 7.4))
    assert story.result.inferred_tiers == ((200, 10 * SECOND),)


def test_of_two_possible_windows_the_longer_holds_until_an_answer_leaves_no_doubt() -> None:
    """The first answer was under way for 0.3 s, and its request arrived anywhere in them: 2.8 to 3.1 s."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(40, 1, 2.8, latency=0.3))
    assert story.result.inferred_tiers == ((40, 3 * SECOND),)
    story.at(5, 0, *answered("p1", "p2", age=1))
    story.at(5, 0, advertised_limits=advertised(40, 2, 1.9, latency=0.3))
    assert story.result.inferred_tiers == ((40, 3 * SECOND),), "again two are possible"
    story.at(6, 0, advertised_limits=advertised(40, 1, 2.4, latency=0.3))
    assert story.result.inferred_tiers == ((40, 2 * SECOND),)


def test_a_window_never_gets_shorter_than_an_answer_left_possible() -> None:
    """A server with fixed windows names less and less time left, whatever its window is."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(40, 1, 9.9, latency=0.2))
    assert story.result.inferred_tiers == ((40, 10 * SECOND),)
    story.at(5, 0, advertised_limits=advertised(40, 1, 4.9, latency=0.01))
    assert story.result.inferred_tiers == ((40, 9 * SECOND),)


def test_requests_in_flight_may_or_may_not_be_among_those_counted() -> None:
    """Two were answered 1.5 and 0.5 s ago, one flies: of two that are counted, the older may be either of those."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(40, 1, 5.5, latency=1.0))
    assert story.result.inferred_tiers == ((40, 6 * SECOND),)
    story.at(10, 0, *answered("p1", age=1.5), *answered("p2", age=0.5))
    (flying,) = story.at(10, 1)
    story.at(10, 0, advertised_limits=advertised(40, 2, 4.7))
    assert story.result.inferred_tiers == ((40, 6 * SECOND),), "5.2 s if it is counted, 6.2 s if not"
    story.at(10, 0, *answered(flying))
    story.at(10, 0, advertised_limits=advertised(40, 2, 4.7))
    assert story.result.inferred_tiers == ((40, 5 * SECOND),)


def in_doubt(story: LimiterClient) -> str:
    """Ten per nine or ten seconds were named, and nine sent at 0.6 s: the permit of the one that tries out which."""
    story.at(0, 0, advertised_limits=advertised(10, 1, 9))
    burst = story.at(0.6, 99)
    story.at(0.7, 0, *answered(*burst))
    assert (len(burst), story.result.inferred_tiers) == (9, ((10, 10 * SECOND),))
    assert story.at(9.7, 1) == []
    (scout,) = story.at(9.75, 99)
    return scout


def test_a_place_is_kept_back_to_try_out_the_shorter_of_two_windows() -> None:
    """A reset of nine seconds was rounded up, for of those before the server counts none any more."""
    story = LimiterClient()
    scout = in_doubt(story)
    story.at(9.85, 0, *answered(scout), advertised_limits=advertised(10, 1, 9, latency=0.1))
    assert story.result.inferred_tiers == ((10, 9 * SECOND),)
    assert len(story.at(9.85, 99)) == 9


def test_of_two_windows_it_is_the_longer_where_the_server_still_counts_all_before() -> None:
    """A reset of nine seconds was rounded down, and so is one of none."""
    story = LimiterClient()
    scout = in_doubt(story)
    story.at(9.85, 0, *answered(scout), advertised_limits=advertised(10, 10, 0, latency=0.1))
    assert story.result.inferred_tiers == ((10, 10 * SECOND),)
    burst = story.at(10.7, 99)
    assert len(burst) == 9
    story.at(10.8, 0, *answered(*burst), advertised_limits=advertised(10, 10, 8, latency=0.1))
    (next_one,) = story.at(19.85, 99)
    story.at(19.95, 0, *answered(next_one), advertised_limits=advertised(10, 10, 0, latency=0.1))
    assert len(story.at(20.8, 99)) == 9, "nothing is in doubt any more"
    assert story.result.inferred_tiers == ((10, 10 * SECOND),)


def test_a_fixed_window_that_turns_in_between_makes_it_no_shorter() -> None:
    """It began by the server's clock: the reset leaves four seconds, so that this one has lasted some already."""
    story = LimiterClient()
    scout = in_doubt(story)
    story.at(9.85, 0, *answered(scout), advertised_limits=advertised(10, 1, 4, latency=0.1))
    assert story.result.inferred_tiers == ((10, 10 * SECOND),)


def test_a_refusal_by_a_tier_that_has_room_makes_its_window_a_second_longer() -> None:
    """Its window was believed too short; all that are refused at once show that once."""
    story = LimiterClient()
    scout = in_doubt(story)
    story.at(9.85, 0, *answered(scout), advertised_limits=advertised(10, 1, 9, latency=0.1))
    burst = story.at(9.85, 99)
    story.at(9.95, 0, *answered(*burst))
    late = story.at(18.96, 3)
    assert len(late) == 3
    for moment, name in zip((19.06, 19.07, 19.08), late, strict=True):
        story.at(moment, 0, refused(name, 1), advertised_limits=advertised(10, 11, 0, latency=0.1))
    assert story.result.inferred_tiers == ((10, 10 * SECOND),)
    (probe,) = story.at(20.2, 9)
    story.at(20.3, 0, *answered(probe), advertised_limits=advertised(10, 1, 9, latency=0.1))
    assert story.result.inferred_tiers == ((10, 10 * SECOND),), "no other tier is found in it"


def test_those_in_flight_when_a_tier_is_named_make_its_window_no_longer() -> None:
    story = LimiterClient()
    flying = story.at(0, 12)
    story.at(0.1, 0, *answered(flying[0]), advertised_limits=advertised(10, 2, 10.2))
    story.at(0.1, 0, *answered(*flying[1:10]))
    story.at(0.2, 0, refused(flying[10], 9), advertised_limits=advertised(10, 11, 10.1))
    story.at(0.3, 0, refused(flying[11], 9), advertised_limits=advertised(10, 11, 10.1))
    assert story.result.inferred_tiers == ((10, 10 * SECOND),)


def test_a_limit_of_one_is_taken_at_its_word() -> None:
    """It has no place to keep back."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(1, 1, 5))
    assert story.result.inferred_tiers == ((1, 5 * SECOND),)


def test_a_full_limit_that_cannot_be_learned_does_not_hide_a_refusal() -> None:
    """One-second windows that are rounded down have a reset of zero: the tier has to be inferred."""
    story = LimiterClient()
    story.time.now = story.start + SECOND // 10
    story.at(0.1, 0, *story.free_answers(0.02, 20), refused("late", 1), advertised_limits=advertised(20, 21, 0))
    (probe,) = story.at(1.1, 9)
    story.at(1.15, 0, *answered(probe))
    assert story.result.inferred_tiers == ((20, SECOND),)


def test_a_window_in_fractions_of_a_second_is_rounded_up() -> None:
    story = LimiterClient()
    story.at(0, 0, advertised_limits=(AdvertisedLimit(limit=100, used=0, reset=0, window=3 * SECOND // 2),))
    assert story.result.inferred_tiers == ((100, 2 * SECOND),)
    story.at(1, 0, advertised_limits=(AdvertisedLimit(limit=100, used=0, reset=0, window=9 * SECOND // 4),))
    assert story.result.inferred_tiers == ((100, 3 * SECOND),)


def test_a_named_window_is_believed_immediately() -> None:
    story = LimiterClient()
    story.at(
        0,
        0,
        advertised_limits=(
            AdvertisedLimit(limit=100, used=0, reset=0, window=60 * SECOND),
            AdvertisedLimit(limit=5, used=5, reset=0),
        ),
    )
    assert story.result.inferred_tiers == ((100, 60 * SECOND),)


def test_places_of_an_hour_stay_taken_when_its_window_seems_shorter() -> None:
    """Counted in hundredths of an hour; those of another window would begin with none taken."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(11_000, 1, 3599.8, latency=0.3))
    story.at(1, 0, *answered(*(f"p{n}" for n in range(99))))
    story.at(2, 0, advertised_limits=advertised(11_000, 100, 3598.9))
    assert (story.result.inferred_tiers, story.result.used) == (((11_000, 3600 * SECOND),), (100,))


def test_what_the_server_counts_is_taken_over_into_a_longer_window() -> None:
    """Others had used 500 of a day's places before us; only the oldest of them shows the length of the window."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(11_000, 501, 40_000))
    story.at(1, 0, *answered(*(f"p{n}" for n in range(99))))
    story.at(39_000, 0, advertised_limits=(AdvertisedLimit(limit=11_000, used=700, reset=0, window=86_400 * SECOND),))
    assert (story.result.inferred_tiers, story.result.used) == (((11_000, 86_400 * SECOND),), (700,))
    story.at(86_400)
    assert story.result.used == (700,)
    story.at(90_000)
    assert story.result.used == (100,), "units not reported before count from their report"


def test_those_in_flight_are_counted_in_a_day_that_is_named_meanwhile() -> None:
    """Ten of forty had arrived by then."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=(AdvertisedLimit(limit=200, used=0, reset=0, window=10 * SECOND),))
    burst = story.at(1, 40)
    story.at(1.1, 0, advertised_limits=(AdvertisedLimit(limit=100, used=10, reset=0, window=86_400 * SECOND),))
    story.at(1.2, 0, *answered(*burst))
    assert story.result.used == (40, 50)


def test_a_server_that_counts_afresh_leaves_its_places_free() -> None:
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(11_000, 1, 40_000))
    story.at(1, 0, *answered(*(f"p{n}" for n in range(99))))
    story.at(39_000, 0, *answered("q1", "q2"))
    story.at(39_000, 0, advertised_limits=advertised(11_000, 2, 86_399.5))
    assert (story.result.inferred_tiers, story.result.used) == (((11_000, 86_399 * SECOND),), (2,))


def test_a_refusal_that_names_the_full_tier_shows_no_other() -> None:
    """Another process reports only afterwards that an earlier answer had named it as full."""
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(10, 10, 1))
    (late,) = story.at(0.6, 1)
    story.at(1, 0, refused(late, 1), advertised_limits=advertised(10, 10, 0.9))
    story.at(1.1, 0, advertised_limits=(AdvertisedLimit(limit=10, used=10, reset=SECOND // 2, age=SECOND // 2),))
    (probe,) = story.at(2.1, 1)
    story.at(2.2, 0, *answered(probe))
    assert story.result.inferred_tiers == ((10, SECOND),)


def test_reports_with_the_answer_of_a_probe_count_too() -> None:
    story = LimiterClient()
    story.time.now = story.start + SECOND // 10
    story.at(0.1, 0, *story.free_answers(0.02, 20), refused("late", 2))
    (probe,) = story.at(2.1, 9)
    story.at(2.15, 0, *answered(probe, "slow", "slower"))
    assert (story.result.inferred_tiers, story.result.used) == (((20, 2 * SECOND),), (3,))


def test_a_limit_of_which_nothing_was_heard_for_a_day_is_forgotten() -> None:
    story = LimiterClient()
    story.at(0, 0, advertised_limits=advertised(50, 1, 2.2))
    story.at(TIER_LIFETIME / SECOND - 1)
    assert story.result.inferred_tiers == ((50, 2 * SECOND),)
    story.at(TIER_LIFETIME / SECOND)
    assert story.result.inferred_tiers == ()


def test_a_first_request_that_is_refused_means_one_per_wait() -> None:
    story = LimiterClient()
    (first,) = story.at(0, 1)
    story.at(0.1, 0, refused(first, 5))
    (probe,) = story.at(5.1, 1)
    story.at(5.2, 0, Settlement(permit=probe, outcome=Outcome.ANSWERED))
    assert story.result.inferred_tiers == ((1, 5 * SECOND),)
