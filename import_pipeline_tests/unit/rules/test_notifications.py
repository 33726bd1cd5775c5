"""The delivery of a notification: the moment it is due, and its retries."""

from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.rules.notifications import MAX_TRIES, Delivery, DeliveryState

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


def ago(state, tries, **passed):
    return Delivery(state=state, tries=tries, at=NOW - timedelta(**passed))


@pytest.mark.parametrize(
    ("mark", "due"),
    [
        (Delivery(), True),
        (ago(DeliveryState.SENDING, 1, seconds=59), False),
        (ago(DeliveryState.SENDING, 1, seconds=60), True),
        (ago(DeliveryState.FAILED, 1, seconds=59), False),
        (ago(DeliveryState.FAILED, 1, seconds=60), True),
        (ago(DeliveryState.FAILED, 3, seconds=239), False),
        (ago(DeliveryState.FAILED, 3, seconds=240), True),
        (ago(DeliveryState.FAILED, MAX_TRIES, days=1), False),
        (ago(DeliveryState.SENDING, MAX_TRIES, days=1), False),
        (ago(DeliveryState.SENT, 1, days=1), False),
    ],
)
def test_what_is_due(mark, due):
    assert mark.is_due(NOW) is due
    assert Delivery.read(mark.dump()) == mark


def test_a_try_begins_and_ends():
    begun = Delivery().begin(NOW)
    assert begun == Delivery(state=DeliveryState.SENDING, tries=1, at=NOW)
    assert begun.end(NOW, delivered=True) == Delivery(state=DeliveryState.SENT, tries=1, at=NOW)
    assert begun.end(NOW, delivered=False).begin(NOW) == Delivery(state=DeliveryState.SENDING, tries=2, at=NOW)
    assert Delivery.read(None) == Delivery()
