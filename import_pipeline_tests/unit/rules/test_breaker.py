"""Going on makes no sense when everything fails in the same way."""

import pytest

from import_pipeline.rules.breaker import Breaker

BOOM, NO_ANSWER = "the API answers 500 Internal Server Error", "no answer within 30 s"
VERDICT = f"the last 3 items all failed in the same way ({BOOM}); the others are left for a retry"

OK = None
HISTORIES = [
    ("three items in a row that fail alike", [("1", BOOM), ("2", BOOM), ("3", BOOM)], [None, None, VERDICT]),
    ("the same item thrice", [("1", BOOM), ("1", BOOM), ("1", BOOM)], [None, None, None]),
    ("a success between them", [("1", BOOM), ("2", BOOM), OK, ("3", BOOM)], [None, None, None, None]),
    (
        "another reason between them",
        [("1", BOOM), ("2", BOOM), ("3", NO_ANSWER), ("4", BOOM), ("5", BOOM), ("6", BOOM)],
        [None, None, None, None, None, VERDICT],
    ),
    (
        "a success, then three more",
        [("1", BOOM), OK, ("1", BOOM), ("2", BOOM), ("3", BOOM)],
        [None, None, None, None, VERDICT],
    ),
]


@pytest.mark.parametrize(
    ("history", "said"), [history[1:] for history in HISTORIES], ids=[each[0] for each in HISTORIES]
)
def test_it_says_why_to_end_when_different_items_fail_alike_without_a_success(history, said):
    breaker = Breaker(threshold=3)
    assert [breaker.succeeded() if event is OK else breaker.failed(*event) for event in history] == said


def test_it_takes_fifty_items():
    breaker = Breaker()
    said = [breaker.failed(str(number), BOOM) for number in range(50)]
    assert said == [None] * 49 + [VERDICT.replace("last 3", "last 50")]
