"""The circuit breaker: it opens, and at last ends the import, if everything fails."""

import pytest

from import_pipeline.rules.circuit_breaker import CircuitBreaker

BOOM, NO_ANSWER, GONE = "the API answers 500", "no answer within 30 s", "the API answers 404"


def opened_by(events, patience=100.0):
    """Return the number of the event that opens it; an event is (item, reason, moment, may pass), None a success."""
    breaker, opened = CircuitBreaker(patience), None
    for number, event in enumerate(events):
        if event is None:
            breaker.succeeded()
        else:
            breaker.failed(*event[:3], may_pass=event[3])
        opened = number if breaker.is_open and opened is None else opened
    return opened


def failures(number, reason=BOOM, *, may_pass=True, start=0, moment=0.0):
    return [(str(start + n), reason, moment, may_pass) for n in range(number)]


HISTORIES = [
    ("nine items in trouble", failures(9), None),
    ("ten items in trouble", failures(10), 9),
    ("one item, again and again", failures(1) * 20, None),
    ("trouble of several kinds", failures(5) + failures(5, NO_ANSWER, start=5), 9),
    ("a success between them", [*failures(9), None, *failures(9)], None),
    ("a rejection between them", [*failures(9), *failures(1, GONE, may_pass=False), *failures(9)], None),
    ("49 rejections alike", failures(49, GONE, may_pass=False), None),
    ("50 rejections alike", failures(50, GONE, may_pass=False), 49),
    (
        "rejections for different reasons",
        failures(49, GONE, may_pass=False) + failures(49, "no 'price'", may_pass=False, start=49),
        None,
    ),
]


@pytest.mark.parametrize(
    ("history", "opened"), [history[1:] for history in HISTORIES], ids=[each[0] for each in HISTORIES]
)
def test_it_opens_when_different_items_fail_without_a_success(history, opened):
    assert opened_by(history) == opened


def test_a_success_closes_it():
    breaker = CircuitBreaker(100)
    for failure in failures(10):
        breaker.failed(*failure[:3], may_pass=True)
    assert breaker.is_open
    breaker.succeeded()
    assert not breaker.is_open


@pytest.mark.parametrize(
    ("number", "may_pass", "patience", "lasts"),
    [(10, True, 100.0, 100.0), (50, False, 100.0, 10.0), (50, False, 3.0, 3.0)],
    ids=["trouble", "rejections", "rejections and little patience"],
)
def test_it_ends_the_import_by_time_and_never_by_number_alone(number, may_pass, patience, lasts):
    breaker = CircuitBreaker(patience)
    at_once = [breaker.failed(str(n), BOOM, 5.0, may_pass=may_pass) for n in range(number * 3)]
    assert set(at_once) == {None}
    assert breaker.failed("next", BOOM, 5.0 + lasts - 0.1, may_pass=may_pass) is None
    assert breaker.failed("last", BOOM, 5.0 + lasts, may_pass=may_pass) == (
        f"the last {number * 3 + 2} items all failed, also after a wait of {lasts:.0f} s ({BOOM}); "
        "the others are left for a retry"
    )


DENIED = "the API answers 403 Forbidden: this token may not read the source"


def test_ten_items_in_a_row_that_we_may_not_have_for_one_reason_end_the_import_at_once():
    breaker = CircuitBreaker(100)
    assert {breaker.failed(str(n), DENIED, 5.0, may_pass=False, is_denied=True) for n in range(9)} == {None}
    assert breaker.failed("last", DENIED, 5.0, may_pass=False, is_denied=True) == (
        f"10 items in a row failed for the same reason ({DENIED}); the others are left for a retry"
    )


@pytest.mark.parametrize("between", ["a success", "another reason", "the same item"])
def test_items_that_we_may_not_have_among_others_end_nothing(between):
    breaker = CircuitBreaker(100)
    for n in range(100):
        external_id = "1" if between == "the same item" else str(n)
        assert breaker.failed(external_id, DENIED, float(n), may_pass=False, is_denied=True) is None
        if n % 9 == 8 and between == "a success":
            breaker.succeeded()
        elif n % 9 == 8 and between == "another reason":
            assert breaker.failed(external_id, "404", float(n), may_pass=False) is None
