"""How far an import is, and how well it used the limits."""

import pytest

from import_pipeline.rules.progress import active_seconds, efficiency, incomplete_reason, percent_done


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
    ("duration", "sleep", "active"), [(20.0, 5.0, 15.0), (20.0, 0.0, 20.0), (20.0, 20.5, 0.0), (0.0, 0.0, 0.0)]
)
def test_the_active_time_is_what_was_not_slept(duration, sleep, active):
    assert active_seconds(duration, sleep) == active


@pytest.mark.parametrize(("hits", "sleeps", "percent"), [(0, 0, None), (0, 8, 100.0), (8, 0, 0.0), (1, 3, 75.0)])
def test_efficiency_is_the_share_of_waits_that_nobody_had_to_force(hits, sleeps, percent):
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
