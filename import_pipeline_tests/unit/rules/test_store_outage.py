"""When a worker that leaves its import for the store of the limits has come in vain."""

import pytest

from import_pipeline.rules.store_outage import Release, next_leave

#: the leave before, requests sent by now, whether a run was asked for since -> the leave now
CASES = {
    "the first worker": (None, 0, True, Release(requests=0)),
    "the sensor had the store's answer, the worker had none": (
        Release(requests=7),
        7,
        True,
        Release(requests=7, in_vain=1),
    ),
    "and again": (Release(requests=7, in_vain=2), 7, True, Release(requests=7, in_vain=3)),
    "a person tries during an outage": (Release(requests=7, in_vain=1), 7, False, Release(requests=7, in_vain=1)),
    "it worked until the next outage": (Release(requests=7, in_vain=2), 8, True, Release(requests=8)),
}


@pytest.mark.parametrize(("before", "requests", "was_asked_for", "left"), CASES.values(), ids=CASES)
def test_only_who_came_since_the_store_answered_the_sensor_and_sent_nothing_came_in_vain(
    before, requests, was_asked_for, left
):
    assert next_leave(before, requests=requests, was_asked_for=was_asked_for) == left
