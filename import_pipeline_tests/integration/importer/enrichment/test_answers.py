"""The end of items and lists by what the source's `classify`, or the status alone, makes of an answer."""

import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from import_pipeline import ACCEPT, FAIL, GONE, NOT_MODIFIED, RATE_LIMITED, RETRY, SKIP, STOP
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking.history import history_of
from import_pipeline.tracking.tables import import_events, import_item_statuses, source_items
from import_pipeline_tests.support.changing_list import URL, ChangingList, detail, import_list
from import_pipeline_tests.support.imports import counts, import_through, latest, reasons, rows, settings, tracking

ALONE = {"ITEMS_CONCURRENCY": "1", "ITEMS_TRIES": "2", "ITEMS_BACKOFF": "0.01"}
NOT_FOUND = "the API answers 404 Not Found: it has no such item (anymore)"


class Reading(ItemsSource):
    """Reads the action of an answer from its header X-Means."""

    heard: list = []

    def classify(self, response):
        self.heard.append(response.request.url.path)
        means = response.headers.get("X-Means")
        return ACTIONS[means]() if means else None


def boom():
    raise RuntimeError("boom")


ACTIONS = {
    "accept": lambda: ACCEPT,
    "not modified": lambda: NOT_MODIFIED,
    "retry": lambda: RETRY,
    "retry later": lambda: RETRY(after=timedelta(seconds=0.3)),
    "rate limited": lambda: RATE_LIMITED(wait=0.3),
    "skip": lambda: SKIP,
    "gone": lambda: GONE("moved to another account"),
    "fail": lambda: FAIL("no access to this account"),
    "stop": lambda: STOP("the subscription has expired"),
    "boom": boom,
    "wrong": lambda: True,
}


def means(action, status=200, **fields):
    return httpx.Response(status, headers={"X-Means": action, **fields}, json=detail("7"))


def answering(answers, ids=range(1, 41), size=100):
    """A list of those ids; for a detail or page, its answers in turn, and the good one after them."""
    shelf, left = ChangingList(ids, size=size), {str(key): list(each) for key, each in answers.items()}

    def answer(request):
        key = request.url.path.rpartition("/")[2]
        waiting = left.get(f"page {request.url.params['page']}" if key == "items" else key, [])
        return waiting.pop(0) if waiting else shelf(request)

    return answer


def gone(configured):
    """Return the ids of the items that are marked as gone."""
    with tracking(configured) as connection:
        found = select(source_items.c.external_id).where(source_items.c.gone_at.is_not(None))
        return sorted(connection.scalars(found), key=int)


def events(configured, action):
    """Return the sentences of the events with that action."""
    with tracking(configured) as connection:
        return list(connection.scalars(select(import_events.c.message).where(import_events.c.action == action)))


def left_out(configured):
    """Return external_id -> how and why the item was left out, by the rows of the newest import."""
    with tracking(configured) as connection:
        found = select(import_item_statuses.c.external_id, import_item_statuses.c.metadata)
        facts = {row[0]: row[1] for row in connection.execute(found)}
    return {key: (each["left_out"], each["reason"]) for key, each in facts.items() if "left_out" in each}


@pytest.mark.parametrize("status", [404, 410])
def test_an_item_that_the_api_no_longer_has_is_gone_and_no_failure(home, status):
    summary, configured = import_list(answering({7: [httpx.Response(status)]}), home, **ALONE)
    assert counts(summary) == ("completed", 40, 39, 0, 0)
    assert (summary.items_gone_count, summary.items_done, summary.display_status) == (1, 40, "completed")
    assert (summary.exit_status, gone(configured), reasons(configured)) == (0, ["7"], {})
    assert left_out(configured)["7"][0] == "gone"
    assert rows(configured)["7"]["price"] is None  # its stub row stays
    assert "Completed: 39 imported, 0 unchanged, 0 failed, 1 gone." in events(configured, "import_completed")


def test_a_chosen_id_that_no_list_has_had_is_a_failure_and_not_gone(home):
    configured = settings(home, URL)
    summary = import_through(
        CannedTransport(lambda request: httpx.Response(404)), ItemsSource(), configured, only=["17"]
    )
    assert (summary.status, summary.items_failed_count, summary.items_gone_count) == ("completed", 1, 0)
    assert reasons(configured)["17"].endswith("No list has had this id: check it")


def test_an_item_that_comes_back_is_imported_and_no_longer_gone(home):
    transport = answering({7: [httpx.Response(404)]})
    assert gone(import_list(transport, home, **ALONE)[1]) == ["7"]
    summary, configured = import_list(transport, home, **ALONE)
    assert (counts(summary), gone(configured)) == (("completed", 40, 40, 0, 0), [])


def test_details_that_are_all_missing_end_the_import_and_none_is_gone(home):
    answers = {number: [httpx.Response(404)] for number in range(1, 41)}
    summary, configured = import_list(answering(answers), home, **ALONE)
    assert (summary.status, summary.items_gone_count, gone(configured)) == ("failed", 0, [])
    assert summary.failure_reason == (
        f"10 items in a row are gone ({NOT_FOUND}), as with an address that does not exist: check detail_request. None "
        "of them is marked as gone. If they are gone, let classify return GONE"
    )
    again, _ = import_list(answering({}), home, **ALONE)
    assert counts(again) == ("completed", 40, 40, 0, 0)


def test_details_that_were_never_found_are_not_gone_however_few_they_are(home):
    """A short list whose details have a wrong address; later, when they were found once, they are gone."""
    missing = {number: [httpx.Response(404)] for number in (1, 2, 3)}
    summary, configured = import_list(answering(missing, range(1, 4)), home, **ALONE)
    assert (summary.status, gone(configured)) == ("failed", [])
    assert summary.failure_reason == (
        f"all 3 items are gone ({NOT_FOUND}), as with an address that does not exist: check detail_request. None of "
        "them is marked as gone. If they are gone, let classify return GONE"
    )
    import_list(answering({}, range(1, 4)), home, **ALONE)
    summary, configured = import_list(answering(missing, range(1, 4)), home, **ALONE)
    assert (summary.status, gone(configured)) == ("completed", ["1", "2", "3"])


def test_missing_details_among_others_end_nothing(home):
    answers = {number: [httpx.Response(404)] for number in range(1, 41) if number % 9}
    summary, configured = import_list(answering(answers), home, **ALONE)
    assert (summary.status, summary.items_gone_count, len(gone(configured))) == ("completed", 36, 36)


def test_a_few_missing_details_at_the_end_of_an_import_are_gone(home):
    answers = {number: [httpx.Response(410)] for number in (38, 39, 40)}
    summary, configured = import_list(answering(answers), home, **ALONE)
    assert (counts(summary), gone(configured)) == (("completed", 40, 37, 0, 0), ["38", "39", "40"])


def test_any_number_of_items_is_gone_if_the_source_says_so(home):
    answers = {number: [means("gone")] for number in range(1, 41)}
    summary, configured = import_list(answering(answers), home, Reading(), **ALONE)
    assert (summary.status, summary.items_gone_count, len(gone(configured))) == ("completed", 40, 40)
    assert left_out(configured)["7"] == ("gone", "moved to another account")


def test_an_unauthorized_detail_stops_the_import_at_once(home):
    summary, _ = import_list(answering({7: [httpx.Response(401)]}), home, **ALONE)
    assert (summary.status, summary.items_imported_count, summary.items_failed_count) == ("failed", 6, 0)
    assert summary.failure_reason == "the API answers 401 Unauthorized: check the token (ITEMS_TOKEN)"


#: Action of item 7 -> counts, skipped and gone items, the reason of a failure.
ENDS = [
    (means("accept", 404), ("completed", 40, 40, 0, 0), (0, 0), None),
    (means("not modified"), ("completed", 40, 39, 1, 0), (0, 0), None),
    (means("retry"), ("completed", 40, 40, 0, 0), (0, 0), None),
    (means("retry later", 404), ("completed", 40, 40, 0, 0), (0, 0), None),
    (means("rate limited", 403), ("completed", 40, 40, 0, 0), (0, 0), None),
    (means("rate limited"), ("completed", 40, 40, 0, 0), (0, 0), None),
    (means("skip", 404), ("completed", 40, 39, 0, 0), (1, 0), None),
    (means("gone"), ("completed", 40, 39, 0, 0), (0, 1), None),
    (means("fail"), ("completed", 40, 39, 0, 1), (0, 0), "no access to this account"),
    (means("boom"), ("completed", 40, 39, 0, 1), (0, 0), "Reading.classify raises RuntimeError: boom ("),
    (means("boom", 404), ("completed", 40, 39, 0, 1), (0, 0), "Reading.classify raises RuntimeError: boom ("),
    (means("boom", 502), ("completed", 40, 40, 0, 0), (0, 0), None),
    (means("boom", 429), ("completed", 40, 40, 0, 0), (0, 0), None),
    (means("wrong"), ("completed", 40, 39, 0, 1), (0, 0), "Reading.classify must return an action such as ACCEPT, "),
]


@pytest.mark.parametrize(
    ("answer", "expected", "without_details", "reason"),
    ENDS,
    ids=[f"{answer.headers['X-Means']} {answer.status_code}" for answer, *_ in ENDS],
)
def test_an_action_decides_the_end_of_its_item_alone(home, answer, expected, without_details, reason):
    summary, configured = import_list(answering({7: [answer]}), home, Reading(), **ALONE)
    assert counts(summary) == expected
    assert (summary.items_skipped_count, summary.items_gone_count) == without_details
    found = reasons(configured)
    assert list(found) == (["7"] if reason else [])
    assert found.get("7", "").startswith(reason or "")


def test_an_error_of_classify_names_file_and_line(home):
    _, configured = import_list(answering({7: [means("boom")], 8: [means("wrong")]}), home, Reading(), **ALONE)
    for reason in reasons(configured).values():
        assert f"({__file__}, line " in reason


def test_a_refusal_by_the_source_is_counted_and_waited_for(home):
    summary, _ = import_list(answering({7: [means("rate limited", 403)] * 2}), home, Reading(), **ALONE)
    assert (summary.rate_limit_hits_count, summary.requests_count) == (2, 43)
    assert summary.duration_seconds >= 0.6


def test_a_stop_ends_the_import_with_its_reason_and_the_rest_is_left(home):
    summary, configured = import_list(answering({7: [means("stop")]}), home, Reading(), **ALONE)
    assert (summary.status, summary.failure_reason) == ("failed", "the subscription has expired")
    assert (summary.items_imported_count, summary.items_failed_count, reasons(configured)) == (6, 0, {})


def test_classify_is_asked_once_per_answer(home, monkeypatch):
    monkeypatch.setattr(Reading, "heard", [])
    import_list(answering({7: [means("rate limited", 429)]}), home, Reading(), **ALONE)
    assert sorted(Reading.heard) == sorted(
        ["/api/items", "/api/items/7", *(f"/api/items/{number}" for number in range(1, 41))]
    )


def test_a_skipped_item_is_not_requested_again_while_its_version_stays(home):
    class Versioned(Reading):
        """Each item has a version."""

        def version(self, item):
            return "1"

    transport = answering({7: [means("skip")]})
    first, _ = import_list(transport, home, Versioned(), **ALONE)
    second, _ = import_list(transport, home, Versioned(), **ALONE)
    assert (first.items_skipped_count, counts(second)) == (1, ("completed", 40, 0, 40, 0))
    assert second.requests_count == 1


#: Action of list page 2 of 4 -> status, items imported, the reason of the failure or of the incomplete list.
PAGES = [
    (means("retry"), "completed", 40, None),
    (means("rate limited"), "completed", 40, None),
    (means("not modified"), "completed", 40, None),
    (means("boom"), "completed", 40, None),
    (means("skip"), "completed", 30, "the list says 40 items, 30 were found"),
    (means("fail"), "failed", None, "list page 2: no access to this account"),
    (means("stop"), "failed", None, "list page 2: the subscription has expired"),
]


@pytest.mark.parametrize(
    ("answer", "status", "imported", "reason"), PAGES, ids=[answer.headers["X-Means"] for answer, *_ in PAGES]
)
def test_an_action_decides_what_becomes_of_a_list_page(home, answer, status, imported, reason):
    always = [answer] * 9 if answer.headers["X-Means"] == "skip" else [answer]  # the list is read again
    transport = answering({"page 2": always}, size=10)
    summary, _ = import_list(transport, home, Reading(), ITEMS_OVERLAP="false", **ALONE)
    assert summary.status == status
    assert imported is None or summary.items_imported_count == imported
    assert (reason or "") in (summary.failure_reason or summary.incomplete_reason or "")


def test_a_page_that_is_gone_is_the_end_of_its_list(home):
    transport = answering({"page 3": [means("gone", 404)] * 9}, size=10)
    summary, _ = import_list(transport, home, Reading(), **ALONE)
    assert (summary.status, summary.items_imported_count) == ("completed", 20)


def test_a_list_that_has_not_changed_keeps_all_items(home):
    assert counts(import_list(answering({}), home, Reading(), **ALONE)[0]) == ("completed", 40, 40, 0, 0)
    transport = answering({"page 1": [means("not modified", 304)]})
    summary, configured = import_list(transport, home, Reading(), **ALONE)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 0, 0, 0, 0), None)
    assert (gone(configured), summary.items_gone_unconfirmed_count, summary.requests_count) == ([], 0, 1)
    assert len(events(configured, "list_unchanged")) == 1


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        (httpx.Response(403), RATE_LIMITED),
        (httpx.Response(403, headers={"X-Reason": "no scope"}), None),
        (httpx.Response(502, html="<html>Bad Gateway"), None),
        (httpx.Response(200, json=["a", "list"]), None),
        (httpx.Response(200, json={"id": 1}), None),
        (httpx.Response(200, json={"error": "slow down"}), RATE_LIMITED(wait=30)),
        (httpx.Response(200, json={"error": "draft"}), SKIP),
        (httpx.Response(200, json={"error": "deleted"}), GONE),
        (httpx.Response(200, json={"error": "subscription expired"}), STOP("the subscription has expired: renew it")),
    ],
)
def test_the_example_of_the_documentation_reads_each_answer(answer, action):
    text = Path("docs/sources/answers.md").read_text()
    names = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], names)
    assert names["OutspokenSource"].classify(None, answer) == action


def test_a_secret_in_a_reason_is_masked(home):
    class Quoting(Reading):
        """Quotes the answer in its reason."""

        def classify(self, response):
            return FAIL(f"says {response.text}") if "X-Means" in response.headers else None

    answer = httpx.Response(200, headers={"X-Means": "x"}, json={"api_key": "hunter2hunter2"})
    _, configured = import_list(answering({7: [answer]}), home, Quoting(), **ALONE)
    assert reasons(configured)["7"] == 'says {"api_key":"***"}'
    assert latest(configured).items_failed_count == 1


def test_the_history_of_an_item_says_how_it_ended_and_why(home):
    answers = {7: [httpx.Response(404)], 8: [means("skip")], 9: [means("fail")]}
    _, configured = import_list(answering(answers), home, Reading(), **ALONE)
    with tracking(configured) as connection:
        found = {each: history_of(connection, "items", "imported_items", each)[0] for each in "6789"}
    assert {each: (state.status, state.left_out) for each, state in found.items()} == {
        "6": ("completed", None),
        "7": ("completed", "gone"),
        "8": ("completed", "skipped"),
        "9": ("failed", None),
    }
    assert (found["7"].left_out_reason, found["9"].failure_reason) == (NOT_FOUND, "no access to this account")
    assert found["8"].left_out_reason == "the API answers 200 OK: `classify` skips it"
