"""Lists that shift while they are read, or lead astray: answered by a function, imported as always."""

import json

import httpx
import pytest

from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.changing_list import (
    URL,
    ChangingList,
    detail,
    import_list,
    insert_first,
    remove_first,
)
from import_pipeline_tests.support.imports import counts, latest, rows


@pytest.mark.parametrize(
    ("change", "expected", "pages"),
    [(remove_first, range(1, 10), [1, 2, 3, 1, 2, 3]), (insert_first, range(10), [1, 2, 3, 4, 1, 2, 3, 4])],
    ids=["an item is deleted", "an item is inserted"],
)
def test_nothing_is_lost_when_the_list_shifts_while_it_is_read(home, change, expected, pages):
    shelf = ChangingList(range(1, 10), between={2: change})
    summary, configured = import_list(shelf, home)
    assert (summary.status, summary.incomplete_reason, shelf.pages) == ("completed", None, pages)
    assert sorted(map(int, rows(configured))) == list(expected)


def test_a_list_without_a_total_is_read_again_after_a_repeated_item(home):
    shelf = ChangingList(range(1, 10), between={2: insert_first}, names_total=False)
    summary, configured = import_list(shelf, home)
    assert (counts(summary), shelf.pages) == (("completed", 10, 10, 0, 0), [1, 2, 3, 4] * 2)
    assert sorted(map(int, rows(configured))) == list(range(10))


def test_a_list_whose_order_shifts_is_read_again_until_it_has_given_all(home):
    shelf = ChangingList(
        range(1, 10), between={2: lambda ids: ids.reverse()}
    )  # 9..1: page two has 4 to 6 again, then 3 to 1
    summary, configured = import_list(shelf, home)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 9, 9, 0, 0), None)
    assert shelf.pages == [1, 2, 3, 1, 2, 3]
    assert sorted(map(int, rows(configured))) == list(range(1, 10))


def test_a_list_that_holds_fewer_items_than_it_says_is_incomplete(home):
    shelf = ChangingList(range(1, 7))

    def answer(request):
        body = shelf(request)
        return body | {"total": 8} if "data" in body else body

    summary, configured = import_list(answer, home)
    assert (counts(summary), summary.exit_status) == (("completed", 6, 6, 0, 0), 3)
    assert summary.incomplete_reason == "the list says 8 items, 6 were found on its pages"
    assert shelf.pages == [1, 2] * 3
    assert latest(configured).items_count == 6


def test_short_pages_are_no_end_of_the_list(home):
    pages = {1: [1], 2: [2, 3], 3: [4], 4: []}

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        page = int(request.url.params["page"])
        return {"data": [{"id": each} for each in pages[page]], "current_page": page, "last_page": 4, "total": 4}

    summary, configured = import_list(answer, home)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 4, 4, 0, 0), None)
    assert sorted(rows(configured)) == ["1", "2", "3", "4"]


def test_a_list_that_loses_items_each_time_that_it_is_read_is_incomplete(home):
    shelf = ChangingList(range(1, 16), between={2: remove_first, 7: remove_first, 12: remove_first})
    summary, _ = import_list(shelf, home)
    assert summary.status == "completed"
    assert summary.incomplete_reason == "items were removed from the list during each of its 3 readings"


def test_a_list_that_has_lost_nothing_in_one_reading_is_complete(home):
    shelf = ChangingList(range(1, 16), between={2: remove_first, 7: insert_first, 13: remove_first})
    summary, _ = import_list(shelf, home)
    assert (summary.status, summary.incomplete_reason) == ("completed", None)


def test_a_list_that_never_comes_to_rest_is_incomplete_where_two_readings_shall_agree(home):
    def swap(ids):
        ids.append(ids.pop(0) + 100)

    source = type("Careful", (ItemsSource,), {"read_twice": True})()
    summary, _ = import_list(ChangingList(range(1, 10), between={2: swap, 5: swap, 8: swap}), home, source)
    assert summary.incomplete_reason == "the list differed in each of its 3 readings"


class Linked(ItemsSource):
    """Follows whatever the answer says; what numbered pages need is not in it."""

    def next_request(self, response, page):
        following = response.json().get("next")
        return httpx.Request("GET", following) if following else None


@pytest.mark.parametrize(
    ("following", "there"),
    [
        ("https://evil.test/api/items?page=2", "https://evil.test"),
        ("http://api.test/api/items?page=2", "http://api.test"),
        ("https://api.test:8443/api/items", "https://api.test:8443"),
        ("https://api.test@evil.test/", "https://evil.test"),
        ("http://169.254.169.254/latest/meta-data", "http://169.254.169.254"),
        ("https://127.0.0.1/api/items", "https://127.0.0.1"),
    ],
)
def test_a_next_page_of_another_origin_is_not_requested(home, following, there):
    transport = CannedTransport(lambda request: {"data": [{"id": 1}], "total": 2, "next": following})
    summary, _ = import_list(transport, home, Linked())
    assert summary.status == "failed"
    assert summary.failure_reason.endswith(f"expected the source's own origin {URL}")
    assert f"a request would go to {there}" in summary.failure_reason.replace("api.test@", "")
    assert {request.url.host for request in transport.requests} == {"api.test"}


class Posted(ItemsSource):
    """Pages by a cursor in a request's body, with a header of its own."""

    def list_request(self, page, per_page):
        return self.search(None)

    def search(self, cursor):
        return httpx.Request("POST", "/search", json={"after": cursor}, headers={"X-Search": "v2"})

    def next_request(self, response, page):
        cursor = response.json()["cursor"]
        return self.search(cursor) if cursor else None


def test_a_next_request_is_sent_whole(home):
    def answer(request):
        if request.url.path != "/search":
            return detail(request.url.path.rpartition("/")[2])
        after = json.loads(request.content)["after"] or 0
        data = [{"id": after + 1}, {"id": after + 2}]
        return {"data": data, "total": 6, "cursor": after + 2 if after < 4 else None}

    transport = CannedTransport(answer)
    summary, _ = import_list(transport, home, Posted())
    assert counts(summary) == ("completed", 6, 6, 0, 0)
    sent = [
        (request.method, request.headers.get("X-Search"), json.loads(request.content))
        for request in transport.requests
        if request.url.path == "/search"
    ]
    assert sent == [("POST", "v2", {"after": after}) for after in (None, 2, 4)]
