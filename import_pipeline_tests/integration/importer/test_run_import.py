"""`run_import` end to end: the demo API, real databases, the whole importer."""

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from import_pipeline import run_import
from import_pipeline.errors import SourceNotFound
from import_pipeline_tests.support import http
from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.forked_cli import serve
from import_pipeline_tests.support.imports import counts, demo_api, log, reasons, rows, settings, without_place


@pytest.fixture(scope="module")
def api():
    """The demo API as a process of its own, with its 400 items."""
    with serve("--limits", "none") as url:
        yield url


def totals(summary):
    return replace(summary, duration_seconds=0, active_seconds=0, ideal_seconds=0, ideal_ratio=None).as_json()


def assert_all_is_there(api, configured):
    stored = rows(configured)
    assert sorted(stored) == sorted(str(number) for number in range(1, 401))
    for number in (1, 17, 400):
        item, row = http.get(f"{api}/api/items/{number}").json(), stored[str(number)]
        price = Decimal(item["price"])
        assert (row["name"], row["description"], row["price"]) == (item["name"], item["description"], price)


def test_everything_is_imported_and_imported_again_without_a_second_row(api, home, database_url):
    configured = settings(home, api, DATABASE_URL=database_url)
    http.post(f"{api}/_reset")
    first = run_import("items", settings=configured)
    expected = {
        "import_id": 1,
        "source": "items",
        "status": "completed",
        "items_count": 400,
        "items_imported_count": 400,
        "items_unchanged_count": 0,
        "items_failed_count": 0,
        "items_skipped_count": 0,
        "items_gone_count": 0,
        "requests_count": 404,
        "rate_limit_hits_count": 0,
        "rate_limit_sleeps_count": 0,
        "total_sleep_seconds": 0,
        "duration_seconds": 0,
        "active_seconds": 0,
        "away_seconds": 0,
        "retry_wait_seconds": 0,
        "ideal_seconds": 0,
        "ideal_ratio": None,
        "efficiency": None,
        "items_delisted_count": 0,
        "items_gone_unconfirmed_count": 0,
        "slices_count": None,
        "slices_completed_count": 0,
        "slices_failed_count": 0,
        "since": None,
        "bookmark": None,
        "incomplete_reason": None,
        "failure_reason": None,
    }
    assert totals(first) == expected
    assert first.exit_status == 0
    assert len(log(api)) == 404
    assert_all_is_there(api, configured)

    second = run_import("items", settings=configured)
    nothing_new = {"items_imported_count": 0, "items_unchanged_count": 400, "requests_count": 4}
    assert totals(second) == {**expected, **nothing_new, "import_id": 2}

    assert counts(run_import("items", settings=configured, fresh=True)) == ("completed", 400, 400, 0, 0)
    assert_all_is_there(api, configured)


def test_the_limits_may_be_shared_through_redis(api, home, redis_url):
    configured = settings(home, api, REDIS_URL=redis_url, ITEMS_LIMITS="60/2 second")
    summary = run_import("items", limit=100, settings=configured)
    assert counts(summary) == ("completed", 100, 100, 0, 0)
    assert summary.duration_seconds >= summary.ideal_seconds > 1
    assert (summary.rate_limit_sleeps_count > 0, summary.efficiency) == (True, 100.0)
    assert not configured.limits_path.exists()


TROUBLE = {
    "3=status:422": "the API answers 422 Unprocessable Entity, expected 200 with a body",
    "5=garbage": (
        "ItemsSource.detail raises JSONDecodeError: Unterminated string starting at: line 1 column 19 (char 18)"
    ),
    "7=hang": "no answer within 2 s",
    "9=body:[1,2]": "ItemsSource.detail raises ValueError: expected a JSON object, got list",
    '11=body:{"name":"no price"}': "ImportedItem.populate raises KeyError: 'price'; it has name",
    "13=drop": "the connection broke before the answer came: Server disconnected",
    "15=status:500": "the API answers 500 Internal Server Error",
    "17=status:302": "the API answers 302 Found: redirects are not followed",
    "19=status:304": "the API answers 304 Not Modified to a request without a condition",
}
HARMLESS = ("21=status:500*2", "23=hang*1", "25=drop*1", "27=status:429:1*1")


def test_trouble_with_some_items_is_recorded_with_its_reason_and_no_other_suffers(home):
    with demo_api(items=40, faults=(*TROUBLE, *HARMLESS)) as url:
        configured = settings(home, url, ITEMS_TIMEOUT="2")
        summary = run_import("items", settings=configured)
        asked = log(url)
    bad = {fault.partition("=")[0]: reason for fault, reason in TROUBLE.items()}
    assert counts(summary) == ("completed", 40, 40 - len(bad), 0, len(bad))
    assert (summary.exit_status, summary.rate_limit_hits_count, summary.incomplete_reason) == (3, 1, None)
    assert {number: without_place(reason) for number, reason in reasons(configured).items()} == bad
    tries = {number: asked.count(f"/api/items/{number}") for number in (3, 5, 7, 15, 21, 23, 25, 1)}
    assert tries == {3: 1, 5: 1, 7: 3, 15: 3, 21: 3, 23: 2, 25: 2, 1: 1}
    assert {number for number, row in rows(configured).items() if row["price"] is None} == set(bad)


def test_the_next_import_gets_what_failed_before(home):
    with demo_api(items=10, faults=("3=status:500*3",)) as url:
        configured = settings(home, url)
        assert counts(run_import("items", settings=configured)) == ("completed", 10, 9, 0, 1)
        assert counts(run_import("items", settings=configured)) == ("completed", 10, 1, 9, 0)


@pytest.mark.parametrize("only", [(), ("3",)], ids=["everything", "a chosen item"])
def test_an_api_that_cannot_be_reached_ends_the_import_with_a_sentence(home, only):
    url = f"http://127.0.0.1:{free_port()}"
    summary = run_import("items", settings=settings(home, url, ITEMS_BACKOFF="60"), only=only)
    assert (summary.status, summary.exit_status, summary.items_imported_count) == ("failed", 4, 0)
    assert summary.failure_reason.startswith(f"the API at {url} cannot be reached: ")
    assert summary.failure_reason.endswith("Check its address (ITEMS_BASE_URL) and that it runs")


UNFINISHED = "JSONDecodeError: Unterminated string starting at: line 1 column 19 (char 18)"
FATAL = [
    ({"token": "right"}, "list page 1: the API answers 401 Unauthorized: check the token (ITEMS_TOKEN)"),
    (
        {"faults": ("page:2=status:403",)},
        "list page 2: the API answers 403 Forbidden: this token may not read the source",
    ),
    ({"faults": ("page:2=status:500",)}, "list page 2: the API answers 500 Internal Server Error, 3 times"),
    (
        {"faults": ("page:2=status:304",)},
        "list page 2: the API answers 304 Not Modified to a request without a condition, 3 times",
    ),
    ({"faults": ("page:1=hang",)}, "list page 1: no answer within 1 s, 3 times"),
    (
        {"faults": ("page:1=body:{}",)},
        "list page 1: ItemsSource.items raises KeyError: 'data', 3 times",
    ),
    (
        {"faults": ("page:2=garbage",)},
        f"list page 2: ItemsSource.items raises {UNFINISHED}, 3 times",
    ),
    (
        {"faults": tuple(f"{number}=status:403" for number in range(3, 13))},
        "10 items in a row failed for the same reason (the API answers 403 Forbidden: this token may not read the "
        "source); the others are left for a retry",
    ),
    ({"faults": ("7=status:401",)}, "the API answers 401 Unauthorized: check the token (ITEMS_TOKEN)"),
    (
        {"faults": tuple(f"{number}=status:404" for number in range(3, 13))},
        "10 items in a row are gone (the API answers 404 Not Found: it has no such item (anymore)), as with an address "
        "that does not exist: check detail_request. None of them is marked as gone. If they are gone, let classify "
        "return GONE",
    ),
]


@pytest.mark.parametrize(("options", "reason"), FATAL, ids=[reason[:60] for _, reason in FATAL])
def test_what_makes_going_on_senseless_ends_the_import_with_its_reason(home, options, reason):
    with demo_api(items=20, **options) as url:
        configured = settings(
            home, url, ITEMS_PER_PAGE="10", ITEMS_TOKEN="wrong", ITEMS_TIMEOUT="1", ITEMS_CONCURRENCY="1"
        )
        summary = run_import("items", settings=configured)
    assert (summary.status, summary.exit_status, without_place(summary.failure_reason)) == ("failed", 4, reason)


def test_a_list_page_that_fails_and_then_works_is_no_trouble(home):
    with demo_api(items=20, faults=("page:1=drop*1", "page:2=status:500*1", "page:2=garbage*1")) as url:
        summary = run_import("items", settings=settings(home, url, ITEMS_PER_PAGE="10"))
    assert (counts(summary), summary.requests_count) == (("completed", 20, 20, 0, 0), 25)


ENDLESS = [
    ("status:500", "11 items|12 items", "the API answers 500 Internal Server Error", 10 + 10 + 2),
    ("status:400", "5[0-9] items", "the API answers 400 Bad Request, expected 200 with a body", 10 + 50 + 10),
]


@pytest.mark.parametrize(("fault", "number", "reason", "most"), ENDLESS, ids=["trouble", "rejections"])
def test_an_import_of_nothing_but_failures_ends_and_leaves_the_others(home, fault, number, reason, most):
    with demo_api(items=100, faults=tuple(f"{number}={fault}" for number in range(11, 101))) as url:
        patience = {"ITEMS_MAX_OUTAGE": "0.9", "ITEMS_CONCURRENCY": "1"}
        configured = settings(home, url, ITEMS_TRIES="5", ITEMS_BACKOFF="60", ITEMS_OVERLAP="false", **patience)
        summary = run_import("items", settings=configured)
        asked = log(url)
    sentence = rf"the last ({number}) all failed, also after a wait of 1 s \({re.escape(reason)}\); the others are .*"
    assert re.fullmatch(sentence, summary.failure_reason)
    assert (summary.status, summary.items_imported_count) == ("failed", 10)
    assert len(asked) <= 1 + most


def test_a_limit_imports_the_first_items_of_the_list(home):
    with demo_api(items=30) as url:
        configured = settings(home, url, ITEMS_PER_PAGE="5")
        summary = run_import("items", settings=configured, limit=7)
        assert (counts(summary), summary.incomplete_reason) == (("completed", 7, 7, 0, 0), None)
        assert log(url).count("/api/items") == 2
    assert sorted(rows(configured), key=int) == ["1", "2", "3", "4", "5", "6", "7"]


def test_chosen_items_are_imported_without_the_list_and_unknown_ones_fail(home):
    with demo_api(items=30) as url:
        configured = settings(home, url)
        summary = run_import("items", settings=configured, only=["3", "17", "999", "no such", "3"])
        assert counts(summary) == ("completed", 4, 2, 0, 2)
        assert (summary.items_gone_count, summary.exit_status) == (0, 3)
        assert "/api/items" not in log(url)
    unknown = "the API answers 404 Not Found: it has no such item (anymore). No list has had this id: check it"
    assert reasons(configured) == {"999": unknown, "no such": unknown}
    assert sorted(rows(configured)) == ["17", "3"]


def test_chosen_items_that_a_list_has_had_are_unchanged_in_the_next_import(home):
    with demo_api(items=10, faults=("3=status:404*1", "7=status:404*1")) as url:
        configured = settings(home, url, ITEMS_TRIES="1")
        assert counts(run_import("items", settings=configured)) == ("completed", 10, 8, 0, 0)
        assert counts(run_import("items", settings=configured, only=["3", "4"])) == ("completed", 2, 2, 0, 0)
        assert counts(run_import("items", settings=configured)) == ("completed", 10, 1, 9, 0)  # 7 was not fetched yet


def test_a_chosen_item_that_no_list_has_had_is_fetched_once_more(home):
    with demo_api(items=3) as url:
        configured = settings(home, url)
        run_import("items", settings=configured, only=["2"])
        assert counts(run_import("items", settings=configured)) == ("completed", 3, 3, 0, 0)
        assert counts(run_import("items", settings=configured)) == ("completed", 3, 0, 3, 0)


def test_without_overlap_every_page_is_read_before_the_first_detail(home):
    with demo_api(items=30) as url:
        run_import("items", settings=settings(home, url, ITEMS_PER_PAGE="5", ITEMS_OVERLAP="false"))
        asked = log(url)
    assert asked[:6] == ["/api/items"] * 6
    assert "/api/items" not in asked[6:]


def test_with_overlap_details_come_before_the_last_page(home):
    with demo_api(items=60, delay_after_ms=10) as url:
        run_import("items", settings=settings(home, url, ITEMS_PER_PAGE="5"))
        asked = log(url)
    last_page = len(asked) - 1 - asked[::-1].index("/api/items")
    assert any(path != "/api/items" for path in asked[:last_page])


def test_a_source_that_is_not_listed_is_a_sentence(home):
    with pytest.raises(SourceNotFound, match="orders: no such source; known sources: items"):
        run_import("orders", settings=settings(home, "http://127.0.0.1"))


def test_an_empty_list_is_a_complete_import(home):
    with demo_api(items=0) as url:
        summary = run_import("items", settings=settings(home, url))
    assert (counts(summary), summary.exit_status, summary.requests_count) == (("completed", 0, 0, 0, 0), 0, 1)


def test_a_detail_that_the_table_refuses_fails_alone(home, database_url):
    with demo_api(items=20, faults=('7=body:{"name": "a", "price": 1, "description": {}}',)) as url:
        configured = settings(home, url, DATABASE_URL=database_url, ITEMS_TIMEOUT="20")
        summary = run_import("items", settings=configured)
        asked = log(url)
    assert counts(summary) == ("completed", 20, 19, 0, 1)
    [(external_id, reason)] = reasons(configured).items()
    assert external_id == "7"
    assert reason.startswith("the table imported_items refuses the row: ")
    assert (rows(configured)["7"]["price"], rows(configured)["8"]["price"] is None) == (None, False)
    assert len(set(asked)) == len(asked) == 21
