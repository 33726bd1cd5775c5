"""The figures and the forecast of an import, from its row and the limiter's counters."""

from dataclasses import replace
from datetime import timedelta

import pytest

from import_pipeline.importer.monitoring.stalled import StalledImport
from import_pipeline.importer.monitoring.view import as_json, forecast_of, permits_left, view_of
from import_pipeline.ratelimit import TierUsage, Usage
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking.events import Wait
from import_pipeline.tracking.items import Remaining
from import_pipeline.tracking.queries import ImportSnapshot
from import_pipeline_tests.support.import_rows import NOON, an_import

LIMITS = "50/2 second; 200/10 second"
HALF_WAY = an_import(
    status=ImportStatus.RUNNING,
    started_at=NOON,
    items_count=400,
    items_imported_count=194,
    items_failed_count=6,
    requests_count=204,
    rate_limit_sleeps_count=9,
    rate_limit_hits_count=1,
    total_sleep_seconds=8.0,
    checkpoint={"seen": 400, "complete": True},
)


STALLED = StalledImport(evidence="process 7 on a is dead", next_step="The next run resumes it", since=NOON)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def test_a_running_import_in_figures():
    view = view_of(HALF_WAY, LIMITS, after(10))
    assert (view.status, view.done, view.percent, view.items_per_second) == ("running", 200, 50.0, 20.0)
    figures = view.figures
    assert (figures.duration_seconds, figures.active_seconds, figures.total_sleep_seconds) == (10.0, 2.0, 8.0)
    assert (figures.efficiency, view.grade) == (90.0, "fair")
    assert view.is_running
    assert not view.has_ended


@pytest.mark.parametrize(
    ("row", "status", "due_in"),
    [
        (an_import(), "scheduled", 60.0),
        (an_import(scheduled_at=after(-61)), "due", -1.0),
        (an_import(scheduled_at=after(-121)), "overdue", -61.0),
        (an_import(scheduled_at=after(-61), status=ImportStatus.CANCELLED), "cancelled", -1.0),
    ],
)
def test_due_and_overdue_are_derived(row, status, due_in):
    view = view_of(row, LIMITS, after(-60))
    assert (view.status, view.due_in_seconds) == (status, due_in)
    assert (view.percent, view.items_per_second, view.grade) == (None, None, None)


def test_the_duration_stops_at_the_end():
    ended = an_import(status=ImportStatus.COMPLETED, started_at=NOON, ended_at=after(20), total_sleep_seconds=15.0)
    views = [view_of(ended, LIMITS, after(seconds)) for seconds in (20, 3600)]
    assert [(each.figures.duration_seconds, each.figures.active_seconds) for each in views] == [(20.0, 5.0)] * 2


def test_a_pause_is_shown_while_it_is_to_come_and_the_import_runs():
    paused = an_import(status=ImportStatus.RUNNING, started_at=NOON, blocked_until=after(30))
    assert view_of(paused, LIMITS, after(10)).paused_until == after(30)
    assert view_of(paused, LIMITS, after(30)).paused_until is None
    assert view_of(an_import(blocked_until=after(30)), LIMITS, after(10)).paused_until is None


def remaining(pending=200, waiting=0, next_attempt_at=None):
    return Remaining(pending=pending, processing=0, waiting=waiting, next_attempt_at=next_attempt_at)


def forecast(row=HALF_WAY, now=10, **changed):
    usage = Usage(
        hits=1,
        sleeps=9,
        slept_seconds=8.0,
        paused_until=changed.pop("paused_until", None),
        tiers=(TierUsage(amount=50, seconds=2, used=4), TierUsage(amount=200, seconds=10, used=200)),
    )
    view = view_of(row, LIMITS, after(now), changed.pop("stalled", None))
    usage = changed.pop("usage", usage)
    snapshot = ImportSnapshot(row=row, **{"remaining": remaining()} | changed)
    return forecast_of(view, snapshot, limits=LIMITS, per_page=100, usage=usage, now=after(now))


def test_the_time_left_is_what_the_limits_need_from_where_they_stand():
    # The long window is full: 49 places each come free in 0.5, 2.5, 4.5 and 6.5 s. The other 4 were taken within the
    # last 2 s, as the short window shows, so the last of them is free in 10 s.
    finished = [after(seconds) for seconds in (0.5, 2.5, 4.5, 6.5) for _ in range(49)]
    found = forecast(finished_at=finished)
    assert found.requests_left == 200
    assert found.eta_seconds == pytest.approx(10.0, abs=0.1)
    assert found.ends_at == after(10 + found.eta_seconds)
    assert forecast(finished_at=finished, remaining=remaining(196)).eta_seconds == pytest.approx(6.5, abs=0.1)


@pytest.mark.parametrize(
    ("changed", "left", "at_least", "at_most"),
    [
        ({"remaining": remaining(0)}, 0, 0, 0),
        ({"remaining": remaining(0, waiting=1, next_attempt_at=after(100))}, 1, 90, 90),
        ({"paused_until": after(70)}, 200, 60, 75),
        ({"usage": None}, 200, 2, 20),
        ({"wait": Wait(reason="the API is away", until=after(20))}, 200, 2, 20),
        ({"wait": Wait(reason="the store is away", until=None)}, 200, None, None),
        ({"stalled": STALLED}, 200, None, None),
        ({"stalled": replace(STALLED, since=None)}, 200, 2, 20),
        ({"stalled": STALLED, "row": replace(HALF_WAY, blocked_until=after(70))}, 200, 60, 75),
        ({"row": an_import(status=ImportStatus.RUNNING, started_at=NOON)}, None, None, None),
    ],
)
def test_the_forecast_counts_retries_and_pauses_or_is_unknown(changed, left, at_least, at_most):
    found = forecast(**changed)
    assert found.requests_left == left
    if at_least is None:
        assert (found.eta_seconds, found.ends_at) == (None, None)
    else:
        assert at_least <= found.eta_seconds <= at_most


def test_the_time_left_is_that_of_the_slowest_endpoint():
    """Half of the 200 requests left go to the search: two are sent at once, the last of them 98 s later."""
    facts = {"limits": "1000/1 second; /search: 2/2 second", "requests_by_endpoint": {"": 30, "/search": 30}}
    row = replace(HALF_WAY, metadata={**HALF_WAY.metadata, **facts})
    assert forecast(row=row, usage=None).eta_seconds == pytest.approx(98, abs=1)
    assert forecast(row=row, usage=None, remaining=remaining(0)).eta_seconds == 0


def test_a_limit_on_items_limits_what_is_left():
    row = an_import(status=ImportStatus.RUNNING, started_at=NOON, items_count=400, metadata={"limit": 50})
    assert forecast(row=row, remaining=remaining(0)).requests_left == 1 + 50
    listing = an_import(status=ImportStatus.RUNNING, started_at=NOON, items_count=400, kind=ImportKind.DISCOVERY)
    assert forecast(row=listing, remaining=remaining(0)).requests_left == 4


def test_a_tier_that_holds_more_than_it_may_has_nothing_left():
    assert permits_left(TierUsage(amount=50, seconds=2, used=10)) == 40
    assert permits_left(TierUsage(amount=50, seconds=2, used=60)) == 0


def test_programs_get_plain_values():
    view = view_of(HALF_WAY, LIMITS, after(10))
    fields = as_json(view, forecast())
    assert (fields["import_id"], fields["status"], fields["percent"], fields["grade"]) == (7, "running", 50.0, "fair")
    assert fields["started_at"] == "2030-01-01T12:00:00+00:00"
    assert fields["requests_left"] == 200
    assert "requests_left" not in as_json(view)
