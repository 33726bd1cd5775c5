"""When an event is told, and when again."""

from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.rules.notifications import TRIES, Delivery, State

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


def ago(state, tries, **passed):
    return Delivery(state=state, tries=tries, at=NOW - timedelta(**passed))


@pytest.mark.parametrize(
    ("mark", "due"),
    [
        (Delivery(), True),
        (ago(State.SENDING, 1, seconds=59), False),
        (ago(State.SENDING, 1, seconds=60), True),
        (ago(State.FAILED, 1, seconds=59), False),
        (ago(State.FAILED, 1, seconds=60), True),
        (ago(State.FAILED, 3, seconds=239), False),
        (ago(State.FAILED, 3, seconds=240), True),
        (ago(State.FAILED, TRIES, days=1), False),
        (ago(State.SENDING, TRIES, days=1), False),
        (ago(State.SENT, 1, days=1), False),
    ],
)
def test_what_is_due(mark, due):
    assert mark.is_due(NOW) is due
    assert Delivery.read(mark.dump()) == mark


def test_a_try_begins_and_ends():
    begun = Delivery().begin(NOW)
    assert begun == Delivery(state=State.SENDING, tries=1, at=NOW)
    assert begun.end(NOW, told=True) == Delivery(state=State.SENT, tries=1, at=NOW)
    assert begun.end(NOW, told=False).begin(NOW) == Delivery(state=State.SENDING, tries=2, at=NOW)
    assert Delivery.read(None) == Delivery()
