"""The progress of an import, and its use of the limits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.progress import (
    MAX_BEAT_GAP,
    away_seconds,
    efficiency,
    elapsed_seconds,
    grade,
    incomplete_reason,
    percent_done,
    requests_left,
    time_parts,
)


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [
        (0, None, None),
        (17, None, None),
        (0, 0, 100.0),
        (0, 400, 0.0),
        (100, 400, 25.0),
        (400, 400, 100.0),
        (401, 400, 100.0),
    ],
)
def test_the_share_of_items_that_need_no_more_work(done, total, percent):
    assert percent_done(done, total) == percent


@pytest.mark.parametrize(
    ("duration", "sleeping", "away", "retrying", "expected"),
    [
        (20.0, 5.0, 0.0, 0.0, (15.0, 5.0, 0.0, 0.0)),
        (20.0, 5.0, 12.0, 2.0, (1.0, 5.0, 12.0, 2.0)),
        (20.0, 0.0, 0.0, 0.0, (20.0, 0.0, 0.0, 0.0)),
        (20.0, 20.5, 0.0, 3.0, (0.0, 20.0, 0.0, 0.0)),  # measured by different clocks
        (20.0, 5.0, 10.0, 9.0, (0.0, 5.0, 10.0, 5.0)),
        (20.0, -1.0, -1.0, -1.0, (20.0, 0.0, 0.0, 0.0)),
        (-3.0, 1.0, 1.0, 1.0, (0.0, 0.0, 0.0, 0.0)),  # the clock was set back
    ],
)
def test_the_parts_of_a_duration_add_up_to_it(duration, sleeping, away, retrying, expected):
    parts = time_parts(duration, sleeping=sleeping, away=away, retrying=retrying)
    assert (parts.active, parts.sleeping, parts.away, parts.retrying) == expected
    assert sum(expected) == max(0.0, duration)


@pytest.mark.parametrize(
    ("silence", "slept", "away"),
    [(60.0, 0.0, 60.0), (60.0, 18.0, 42.0), (60.0, 90.0, 0.0), (-5.0, 0.0, 0.0), (60.0, -1.0, 60.0)],
    ids=["no wait", "the dead worker had waited", "a pause", "the clock was set back", "the counters were lost"],
)
def test_the_time_without_a_process_is_counted_as_sleep_as_far_as_a_wait_was_to_last(silence, slept, away):
    assert away_seconds(silence, slept) == away


@pytest.mark.parametrize(("hits", "sleeps", "percent"), [(0, 0, None), (0, 8, 100.0), (8, 0, 0.0), (1, 3, 75.0)])
def test_efficiency_is_the_share_of_waits_without_a_refusal(hits, sleeps, percent):
    assert efficiency(hits, sleeps) == percent


@pytest.mark.parametrize(
    ("discovered", "total", "stopped", "reason"),
    [
        (400, 400, None, None),
        (401, 400, None, None),
        (7, None, None, None),
        (399, 400, None, "the list says 400 items, 399 were found on its pages"),
        (0, 1, None, "the list says 1 items, 0 were found on its pages"),
        (400, 400, "the list repeats itself", "the list repeats itself"),
    ],
)
def test_an_import_that_saw_less_than_there_is_says_so(discovered, total, stopped, reason):
    assert incomplete_reason(discovered, total, stopped) == reason


@pytest.mark.parametrize(
    ("percent", "word"),
    [
        (None, None),
        (100.0, "excellent"),
        (90.1, "excellent"),
        (90.0, "fair"),
        (50.0, "fair"),
        (49.9, "poor"),
        (0.0, "poor"),
    ],
)
def test_an_efficiency_has_a_word(percent, word):
    assert grade(percent) == word


@pytest.mark.parametrize(
    ("known", "left"),
    [
        ({"total": None, "listed": False}, None),
        ({"total": 400, "listed": False}, 4 + 400),
        ({"total": 400, "seen": 100, "unfinished": 80, "listed": False}, 3 + 80 + 300),
        ({"total": 400, "seen": 100, "unfinished": 5, "unchanged": 90, "listed": False}, 3 + 5 + 30),
        ({"total": 400, "seen": 400, "unfinished": 9, "listed": False}, 1 + 9),
        ({"total": 400, "seen": 400, "unfinished": 9, "listed": True}, 9),
        ({"total": 400, "seen": 400, "unfinished": 9, "listed": True, "per_request": 5}, 2),
        ({"total": 400, "seen": 100, "unfinished": 80, "listed": False, "per_request": 100}, 3 + 4),
        ({"total": None, "seen": 50, "unfinished": 9, "listed": True}, 9),
        ({"total": 400, "seen": 100, "unfinished": 100, "listed": False, "details": False}, 3),
        ({"total": 400, "seen": 400, "unfinished": 400, "listed": True, "details": False}, 0),
    ],
)
def test_what_is_left_are_pages_and_details(known, left):
    assert requests_left(**{"seen": 0, "unfinished": 0, "unchanged": 0, "per_page": 100} | known) == left


STARTED = datetime(2030, 1, 1, 12, tzinfo=UTC)
moments = st.integers(-100_000, 100_000).map(lambda seconds: STARTED + timedelta(seconds=seconds))


@given(
    counted=st.none() | st.floats(0, 10_000), heard_at=st.none() | moments, until=moments,
    is_running=st.booleans(), has_worker=st.booleans(),
)  # fmt: skip
def test_no_duration_is_below_zero_and_a_worker_adds_what_lies_between_two_heartbeats_at_most(
    counted, heard_at, until, is_running, has_worker
):
    rest = {"is_running": is_running, "has_worker": has_worker}
    found = elapsed_seconds(counted, started_at=STARTED, heard_at=heard_at, until=until, **rest)
    assert found >= (counted or 0.0 if heard_at else 0.0)
    if counted is not None and heard_at is not None and (has_worker or not is_running):
        assert found <= counted + MAX_BEAT_GAP


@pytest.mark.parametrize(
    ("counted", "heard_after", "now_after", "is_running", "has_worker", "seconds"),
    [
        pytest.param(None, 0, 20, True, True, 20, id="nothing is counted yet"),
        pytest.param(None, 0, -3600, False, True, 0, id="of an older version, the clock set back"),
        pytest.param(20, 20, 21, True, True, 21, id="it works"),
        pytest.param(20, 20, 3620, True, True, 25, id="it works, the clock set forward"),
        pytest.param(20, 20, -3600, True, True, 20, id="it works, the clock set back"),
        pytest.param(20, 20, 120, True, False, 120, id="without a process"),
        pytest.param(20, 20, 9999, False, False, 20, id="it has ended"),
    ],
)
def test_how_long_an_import_has_taken(counted, heard_after, now_after, is_running, has_worker, seconds):
    found = elapsed_seconds(
        counted,
        started_at=STARTED,
        heard_at=STARTED + timedelta(seconds=heard_after),
        until=STARTED + timedelta(seconds=now_after),
        is_running=is_running,
        has_worker=has_worker,
    )
    assert found == seconds
