"""The text output of the commands."""

import io
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from import_pipeline.cli.output.formatting import moment, print_plan, short_moment
from import_pipeline.cli.output.json import import_details_json, import_json
from import_pipeline.cli.output.tables import print_details, print_list, print_summary
from import_pipeline.cli.progress_display import line
from import_pipeline.importer.control.plan import Plan
from import_pipeline.importer.monitoring.stalled import StalledImport
from import_pipeline.importer.monitoring.view import as_json, view_of
from import_pipeline.importer.summary import summarize
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking.items import FailedItem
from import_pipeline_tests.support.import_rows import NOON, an_import


@pytest.fixture
def zone(monkeypatch):
    """Return a function that sets the local time zone."""

    def local(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield local
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "at", "shown"),
    [
        ("UTC", datetime(2026, 11, 24, 12, 5, 9, tzinfo=UTC), "2026-11-24 12:05:09 UTC"),
        ("Europe/Berlin", datetime(2026, 11, 24, 12, 5, 9, tzinfo=UTC), "2026-11-24 13:05:09 CET"),
        ("Europe/Berlin", datetime(2026, 7, 24, 12, 5, 9, tzinfo=UTC), "2026-07-24 14:05:09 CEST"),
    ],
)
def test_times_are_those_of_the_readers_clock_and_name_its_zone(zone, name, at, shown):
    zone(name)
    assert moment(at) == shown
    assert short_moment(at) == shown.replace(":09", "")


def printed(show, *arguments):
    console = Console(file=io.StringIO(), width=120, highlight=False)
    show(console, *arguments)
    return " ".join(console.file.getvalue().split())


def test_a_summary_shows_removed_items_and_how_to_confirm_them():
    few = summarize(an_import(metadata={"gone": 2}), "", NOON)
    assert "removed 2 items no longer in the list: marked as removed; the rows stay" in printed(print_summary, few, [])
    many = summarize(an_import(metadata={"gone_unconfirmed": 90}), "", NOON)
    text = printed(print_summary, many, [])
    assert "removed? 90 items no longer in the list: too many to mark as removed without confirmation." in text
    assert "To confirm: import-pipeline finalize 7 --mark-gone" in text
    assert "gone" not in printed(print_summary, summarize(an_import(), "", NOON), [])


@pytest.mark.parametrize(("learned", "ratio"), [({}, 2.0), ({"limits_learned": True}, None)])
def test_no_ratio_is_shown_for_inferred_limits(learned, ratio):
    ended = {"started_at": NOON, "ended_at": NOON + timedelta(seconds=20), "requests_count": 11}
    row = an_import(status=ImportStatus.COMPLETED, metadata={"limits": "1/1 second", **learned}, **ended)
    summary = summarize(row, "", NOON)
    assert (summary.as_json()["ideal_ratio"], summary.ideal_seconds) == (ratio, 10.0)
    assert ("x the least time under the limits" in printed(print_summary, summary, [])) is (ratio is not None)


def test_a_summary_shows_the_time_without_a_process_if_any():
    whole = replace(summarize(an_import(), "", NOON), duration_seconds=90.0, active_seconds=30.0)
    assert "without a process" not in printed(print_summary, whole, [])
    text = printed(print_summary, replace(whole, duration_seconds=120.0, away_seconds=30.0), [])
    assert "30.0 s active, 0.0 s waiting for permits, 30.0 s without a process" in text


def test_an_import_that_has_not_begun_is_listed_when_it_is_due_and_without_figures():
    row = an_import(status=ImportStatus.SCHEDULED, started_at=None, ended_at=None, items_count=None)
    text = printed(print_list, [view_of(row, "", NOON)], ["items"])
    assert "started or due" in text
    assert text.endswith(f"scheduled {short_moment(row.scheduled_at)} - - - - - -")
    begun = an_import(started_at=NOON, status=ImportStatus.RUNNING, ended_at=None)
    assert " - - " not in printed(print_list, [view_of(begun, "", NOON)], ["items"])


def test_due_overdue_and_stalled_imports_are_listed_as_such():
    late, later = an_import(), NOON + timedelta(minutes=1)
    assert " due " in printed(print_list, [view_of(late, "", later)], ["items"])
    assert " overdue " in printed(print_list, [view_of(late, "", later + timedelta(seconds=1))], ["items"])
    left = an_import(started_at=NOON, status=ImportStatus.RUNNING)
    stalled = StalledImport(evidence="process 7 on a is dead", next_step="The next run resumes it", since=NOON)
    view = view_of(left, "", NOON, stalled)
    assert " no worker " in printed(print_list, [view], ["items"])
    text = printed(print_details, view, [], [], [])
    assert "worker none: process 7 on a is dead. The next run resumes it." in text
    assert text.startswith(f"import {left.id} of items: no worker ")
    assert (import_json(view)["status"], import_json(view)["has_no_worker"]) == ("running", True)
    shared = view_of(left, "", NOON, replace(stalled, since=None))
    assert " running " in printed(print_list, [shared], ["items"])
    pauses = view_of(replace(left, blocked_until=later), "", NOON, stalled)
    assert " running " in printed(print_list, [pauses], ["items"])


DONE = {"items_count": 400, "items_imported_count": 1, "items_unchanged_count": 396, "items_failed_count": 2}


def test_list_summary_and_line_show_the_same_number_of_done_items():
    row = an_import(started_at=NOON, ended_at=NOON, status=ImportStatus.COMPLETED, **DONE)
    text = printed(print_list, [view_of(row, "", NOON)], ["items"])
    assert "started or due done unchanged failed time" in text
    assert " 399/400, 2 failed 396 2 0.0 s " in text
    assert "items 1 of 400 imported, 396 unchanged, 2 failed" in printed(print_summary, summarize(row, "", NOON), [])
    assert line(view_of(row, "", NOON), None, None) == "items completed: 399 of 400 items done, 2 failed, after 0.0 s"


def test_a_limited_import_is_distinguished_from_a_full_one_in_text_and_json():
    view = view_of(an_import(started_at=NOON, metadata={"limit": 50}), "", NOON)
    assert " items full, limit 50 " in printed(print_list, [view], ["items"])
    assert "kind full, limit 50, started by schedule" in printed(print_details, view, [], [], [])
    fields = import_json(view)
    assert [fields[name] for name in ("kind", "limit", "trigger")] == ["full", 50, "schedule"]
    assert [fields[name] for name in ("scheduled_at", "started_at", "ended_at")] == [NOON.isoformat()] * 2 + [None]
    assert (as_json(view)["limit"], import_details_json(view, [], [], [], [])["limit"]) == (50, 50)
    whole = view_of(an_import(), "", NOON)
    assert import_json(whole)["limit"] is None
    assert " items full scheduled " in printed(print_list, [whole], ["items"])


def test_an_ended_import_shows_no_next_try():
    again = FailedItem(
        external_id="3", reason="boom", failure_count=1, last_failed_at=NOON, next_attempt_at=NOON, payload=None
    )
    running = view_of(an_import(started_at=NOON, status=ImportStatus.RUNNING), "", NOON)
    assert f"3 1 {moment(NOON)} boom" in printed(print_details, running, [again], [], [])
    over = view_of(an_import(started_at=NOON, ended_at=NOON, status=ImportStatus.CANCELLED), "", NOON)
    assert "3 1 not retried: cancelled boom" in printed(print_details, over, [again], [], [])
    assert import_details_json(over, [again], [], [], [])["failures"][0]["next_attempt_at"] is None
    assert "3 1 not retried: cancelled boom" in printed(print_summary, over.figures, [again])


PLAN = {"source": "items", "limits": "", "list_requests": None, "detail_requests": None, "ideal_seconds": None}


def test_a_plan_says_what_is_unknown_and_its_origin():
    unknown = Plan(**PLAN, items_count=None, requests_count=None)
    says_nothing = "The list of items does not state its number of items"
    not_read = "and no import has read it to the end yet, so its cost is unknown."
    assert printed(print_plan, unknown) == f"{says_nothing}, {not_read} Run it once: `import-pipeline run items`."
    advised = replace(unknown, total_advice="if its pages state it, define `total`")
    assert printed(print_plan, advised) == f"{says_nothing}, {not_read} If its pages state it, define `total`."
    sliced = printed(print_plan, replace(unknown, slices_count=3))
    assert f"A plan reads the first page of one slice, not the 3 lists, {not_read}" in sliced
    known = {"list_requests": 3, "detail_requests": 25, "ideal_seconds": 2.0, "limits": "10/1 second"}
    taken = Plan(**PLAN | known, items_count=25, requests_count=28, estimated_from=4, details_may_be_fewer=True)
    assert printed(print_plan, taken) == (
        f"{says_nothing}. Import 4 found: "
        "25 items of items: 3 list pages and 25 details, 28 requests in all. "
        "Unchanged details are not fetched again. "
        "Under 10/1 second that takes at least 2.0 s."
    )


@pytest.mark.parametrize(
    ("limits", "least", "said"),
    [
        ("", 0.0, "No limits are known, so the server decides how long that takes."),
        ("500/20 second", 0.0, "The limits (500/20 second) do not slow it down: the API's response time decides."),
    ],
)
def test_a_plan_promises_no_time_of_zero(limits, least, said):
    planned = Plan(
        **PLAN | {"limits": limits, "ideal_seconds": least, "list_requests": 4, "detail_requests": 400},
        items_count=400,
        requests_count=404,
    )
    assert printed(print_plan, planned).endswith(f"404 requests in all. {said}")
