"""`doctor` says if the page size has no effect, and if a field of the paginator is absent. A short list is fine.

A list of 15 items is asked for 100 unless a case says otherwise.
"""

import httpx
import pytest

from import_pipeline import RestSource
from import_pipeline.cli.doctor_paging import paging_notes
from import_pipeline.importer.discovery.list_page import SourceList

IGNORED = (
    "the first list page has {} items, and 100 were requested by {}: the API ignores or limits {}{}; "
    "check its name, or set ORDERS_PER_PAGE"
)
UNLESS = ", unless the list has no more"
FOLLOW = "and more items may follow"


def notes(pages, body, count=15, **words):
    known = {"name": "orders", "list": "/orders", "items": "data", "columns": {}, "per_page": 100}
    source = RestSource(**known | {"pages": pages} | words)
    of_list = SourceList(source=source)
    request = of_list.first_request()
    items = {"data": [{"id": number} for number in range(count)]}
    return paging_notes(of_list, httpx.Response(200, json=items | body, request=request))


@pytest.mark.parametrize(
    ("pages", "body", "words", "said"),
    [
        ("page_number", {}, {}, IGNORED.format(15, "per_page", "per_page", UNLESS)),
        ({"type": "page_number", "size": "size", "more": "more"}, {"more": True}, {}, ("size", "size", UNLESS)),
        ("offset", {"total": 40}, {"total": "total"}, ("limit", "limit", "")),
        ({"type": "cursor", "next": "n", "param": "c", "size": "limit"}, {"n": "x"}, {}, ("limit", "limit", UNLESS)),
        (
            {"type": "offset", "size": "page.size", "where": "json"},
            {},
            {"list": {"path": "/orders", "method": "POST"}},
            ("page.size", "page.size", UNLESS),
        ),
        ({"type": "next_url", "path": "n"}, {"n": "/2"}, {"list": "/orders?take=100"}, ("take", "take", UNLESS)),
    ],
)
def test_a_size_without_effect_is_said(pages, body, words, said):
    assert notes(pages, body, **words) == [said if isinstance(said, str) else IGNORED.format(15, *said)]


def test_more_items_than_requested_are_said_too():
    assert notes("page_number", {}, count=150) == [IGNORED.format(150, "per_page", "per_page", "")]


@pytest.mark.parametrize(
    ("pages", "body", "words"),
    [
        ("page_number", {"total": 15}, {"total": "total"}),
        ({"type": "page_number", "more": "more"}, {"more": False}, {}),
        ({"type": "page_number", "last": "last"}, {"last": 1}, {}),
        ({"type": "cursor", "next": "n", "param": "c", "size": "limit"}, {"n": None}, {}),
        ({"type": "cursor", "next": "n", "param": "c", "size": "limit"}, {}, {}),
        ({"type": "cursor", "next": "n", "param": "c"}, {"n": "x"}, {}),
        ("one_page", {}, {}),
        ("link_header", {}, {}),
        ("page_number", {}, {"per_page": 15}),
    ],
)
def test_a_short_list_and_a_list_without_a_size_are_fine(pages, body, words):
    assert notes(pages, body, **words) == []


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        (
            {"type": "page_number", "more": "meta.hasMore"},
            f"orders.pages.more: the first list page has no meta.hasMore (did you mean meta.has_more?), {FOLLOW}: "
            "the list ends only at a page without items",
        ),
        (
            {"type": "cursor", "next": "paging.next", "param": "c"},
            f"orders.pages.next: the first list page has no paging.next, {FOLLOW}: the list ends at its first page",
        ),
        (
            {"type": "next_url", "path": "url"},
            f"orders.pages.path: the first list page has no url, {FOLLOW}: the list ends at its first page",
        ),
        (
            {"type": "last_id", "more": "more"},
            f"orders.pages.more: the first list page has no more, {FOLLOW}: the list ends only at a page without items",
        ),
        ("last_id", None),
        ({"type": "page_number", "more": "meta.has_more"}, None),
    ],
)
def test_a_field_that_a_full_page_lacks_is_said(pages, said):
    body = {"meta": {"has_more": None}}
    assert notes(pages, body, per_page=15) == ([] if said is None else [said])
    assert all("pages." not in each for each in notes(pages, body))  # a page that is not full may be the last


def test_the_total_shows_that_more_items_follow():
    [said] = notes({"type": "cursor", "next": "n", "param": "c"}, {"total": 40}, total="total")
    assert said.startswith("orders.pages.next: the first list page has no n,")
    assert notes({"type": "cursor", "next": "n", "param": "c"}, {"total": 15}, total="total", per_page=15) == []
