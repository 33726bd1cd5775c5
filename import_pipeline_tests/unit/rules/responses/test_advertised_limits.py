"""The tier that a named limit belongs to, and the requests that it holds for, as tables of cases."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.responses.advertised_limits import Advertised, tier_of, used_of
from import_pipeline.rules.responses.rate_limit_headers import LimitStatus

MINUTE, HOUR = [(1000, 60)], [(5000, 3600)]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([LimitStatus(limit=50, remaining=20)], {0: 30}),
        ([LimitStatus(limit=200, remaining=0), LimitStatus(limit=50, remaining=50)], {0: 0, 1: 200}),
        ([LimitStatus(limit=50)], {}),
        ([LimitStatus(limit=60, remaining=1)], {}),  # no tier of ours
        ([LimitStatus(limit=50, remaining=60)], {0: 0}),
        ([LimitStatus(limit=50, remaining=1, window=seconds(60))], {}),
        ([LimitStatus(limit=50, remaining=1, window=seconds(2))], {0: 49}),
    ],
)
def test_what_a_server_counts_in_our_tiers(statuses: list[LimitStatus], expected: dict[int, int]) -> None:
    assert used_of(statuses, [(50, 2), (200, 10)]) == expected


@pytest.mark.parametrize(
    ("statuses", "tiers", "expected"),
    [
        # 20 a second under 1,000 a minute are not 20 a minute
        (LimitStatus(limit=20, remaining=19, reset=seconds(1)), MINUTE, None),
        (LimitStatus(limit=20, window=seconds(1)), MINUTE, None),
        (LimitStatus(limit=20), MINUTE, None),
        (LimitStatus(limit=800, reset=seconds(58)), MINUTE, 0),
        (LimitStatus(limit=800), MINUTE, 0),
        # GitHub: search counts by the minute, core by the hour
        (LimitStatus(limit=30, remaining=29, reset=seconds(60)), HOUR, None),
        (LimitStatus(limit=30, remaining=29, reset=seconds(3)), HOUR, None),
        (LimitStatus(limit=30), HOUR, None),
        (LimitStatus(limit=60, remaining=59, reset=seconds(3400)), HOUR, 0),  # without a token
        (LimitStatus(limit=5000, reset=seconds(3000)), HOUR, 0),
        (LimitStatus(limit=5000, reset=seconds(80_000)), HOUR, None),  # by the day
        (LimitStatus(limit=30, reset=seconds(60)), [(40, 60), (5000, 3600)], 0),
        (LimitStatus(limit=30, reset=seconds(2)), [(40, 2), (5000, 3600)], 0),
        (LimitStatus(limit=0, reset=seconds(2)), [(40, 2)], None),
        (LimitStatus(remaining=0), [(40, 2)], None),
        # the limit of one tier with the reset of another
        (LimitStatus(limit=50, reset=seconds(9)), [(50, 2), (200, 10)], 0),
        (LimitStatus(limit=200, reset=seconds(1)), [(50, 2), (200, 10)], 1),
    ],
)
def test_the_tier_that_a_named_limit_belongs_to(statuses, tiers, expected):
    assert tier_of(statuses, tiers) == expected


DETAIL, LIST = "GET /things/2", "GET /things/1"
THIRTY = LimitStatus(limit=30, remaining=29, reset=seconds(3600))
MANY = LimitStatus(limit=5000, remaining=4000, reset=seconds(3000))


@pytest.mark.parametrize(
    ("answers", "part"),
    [
        ([(LIST, [THIRTY])], 0.006),
        ([(LIST, [THIRTY])] * 9 + [(DETAIL, [THIRTY])] * 99, 0.006),  # one limit for both
        ([(LIST, [THIRTY]), (DETAIL, [])], 0.006),  # one answer may come from elsewhere
        ([(LIST, [THIRTY]), (DETAIL, [MANY])], 1.0),
        ([(LIST, [THIRTY])] + [(DETAIL, [MANY])] * 9, 1.0),  # two limits
        ([(LIST, [THIRTY])] + [(DETAIL, [])] * 9, None),  # details have none
        ([(LIST, [THIRTY])] + [("POST /token/1", [])] * 2 + [(DETAIL, [THIRTY])] * 9, 0.006),
        ([(DETAIL, [MANY])] * 50 + [(LIST, [THIRTY])] + [(DETAIL, [MANY])] * 9, 1.0),
        ([(DETAIL, [LimitStatus(limit=4000, reset=seconds(3000))]), (DETAIL, [MANY])], 1.0),  # raised by the server
    ],
)
def test_a_limit_holds_for_the_requests_that_hear_of_it(answers, part):
    advertised = Advertised(HOUR)
    findings = [advertised.update(kind, statuses) for kind, statuses in answers]
    assert findings[-1].fraction == part


def test_a_longer_tiers_limit_near_the_end_of_its_window_refutes_no_shorter_tiers():
    advertised = Advertised([(50, 2), (200, 10)])
    assert advertised.update(LIST, [LimitStatus(limit=40, reset=seconds(2))]).fraction == 0.8
    late = advertised.update(LIST, [LimitStatus(limit=160, reset=seconds(1))])
    assert (late.fraction, late.refuted) == (0.8, frozenset())


def test_a_refuted_limit_is_named_once_and_not_believed_again():
    advertised = Advertised(HOUR)
    advertised.update(LIST, [THIRTY])
    refuted = {limit for _ in range(9) for limit in advertised.update(DETAIL, [MANY]).refuted}
    again = advertised.update(LIST, [THIRTY])
    assert (refuted, again.holding, again.refuted, again.fraction) == ({30}, (), frozenset(), 1.0)


def test_a_short_reset_near_the_end_of_a_window_takes_nothing_back():
    advertised = Advertised(HOUR)
    for reset in (3600, 900, 30, 2):
        assert advertised.update(LIST, [LimitStatus(limit=60, reset=seconds(reset))]).fraction == 0.012


spans = st.none() | st.timedeltas(timedelta(days=-31), timedelta(days=31))
limit_statuses = st.builds(
    LimitStatus,
    limit=st.none() | st.integers(0, 10**15),
    remaining=st.none() | st.integers(0, 10**15),
    reset=spans,
    window=spans,
)


@given(
    answers=st.lists(st.tuples(st.sampled_from("abc"), st.lists(limit_statuses, max_size=3)), max_size=60),
    tiers=st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 31 * 86_400)), max_size=3),
)
def test_whatever_a_server_names_the_part_is_one_at_most_and_what_is_refuted_was_named(answers, tiers):
    advertised, named = Advertised(tiers), set()
    for kind, statuses in answers:
        named |= {each.limit for each in statuses}
        findings = advertised.update(kind, statuses)
        assert findings.fraction is None or 0 < findings.fraction <= 1
        assert findings.refuted <= named
        assert set(findings.holding) <= set(statuses)


def test_a_limit_that_ever_had_too_much_remaining_shows_no_other_users() -> None:
    """The first tier's limit with the second one's remaining."""
    advertised = Advertised([(50, 2), (200, 10)])
    for remaining, expected in ((40, {0: 10}), (199, {}), (12, {})):
        statuses = [LimitStatus(limit=50, remaining=remaining)]
        assert advertised.used(advertised.update("detail", statuses).holding) == expected
