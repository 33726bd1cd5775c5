"""Paginators: from the first request and an answer to the next request, and nothing else changed."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.contracts.page_requests import found_at
from import_pipeline.contracts.paginators import (
    Cursor,
    LastId,
    LinkHeader,
    ListCutShort,
    NextUrl,
    Offset,
    PageNumber,
)

FIRST = httpx.Request("GET", "/things?$filter=a%20eq%20'b'&x[]=1&x[]=2", headers={"X-Version": "7"})


def answered(body, request=FIRST, **options):
    sent = httpx.Request(request.method, httpx.URL("https://api.test/").join(request.url), content=request.read())
    return httpx.Response(200, json=body, request=sent, **options)


def test_a_query_parameter_is_added_and_the_rest_of_the_address_stays_byte_for_byte():
    request = Cursor(next="next", param="page[after]").following(FIRST, answered({"next": "a/b+c=&d"}), [], 10)
    assert request.url.raw_path == b"/things?$filter=a%20eq%20'b'&x[]=1&x[]=2&page[after]=a%2Fb%2Bc%3D%26d"
    assert request.headers["x-version"] == "7"


def test_a_parameter_that_is_there_already_is_replaced():
    first = httpx.Request("GET", "/things?page=9&q=1&%70age=8")
    assert PageNumber(size=None).first(first, 10).url.raw_path == b"/things?q=1&page=1"


def test_a_body_gets_a_nested_parameter_and_keeps_its_own():
    first = httpx.Request("POST", "/graphql", json={"query": "{…}", "variables": {"team": 5}})
    graphql = Cursor(next="data.end", param="variables.after", size="variables.first", where="json")
    request = graphql.following(graphql.first(first, 10), answered({"data": {"end": "c1"}}), [], 10)
    assert json.loads(request.content) == {"query": "{…}", "variables": {"team": 5, "first": 10, "after": "c1"}}
    assert (request.headers["content-type"], request.headers["content-length"]) == (
        "application/json",
        str(len(request.content)),
    )


@pytest.mark.parametrize("body", [b"[1]", b'{"variables": 3}'])
def test_a_body_that_can_hold_no_parameter_is_a_mistake_of_the_source(body):
    with pytest.raises(ValueError, match="expected a JSON object"):
        Cursor(next="n", param="variables.after", where="json").following(
            httpx.Request("POST", "/graphql", content=body), answered({"n": "c"}), [], 10
        )


@pytest.mark.parametrize(
    ("body", "path", "found"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a.b": 2, "a": {"b": 1}}, "a.b", 2),
        ({"@odata.nextLink": "x"}, "@odata.nextLink", "x"),
        ({"a": [{"b": 3}]}, "a.0.b", 3),
        ({"a": [{"b": 3}]}, "a.1.b", None),
        ({"a": "text"}, "a.0", None),
        ([], "a", None),
        (None, "a.b.c", None),
    ],
)
def test_a_path_finds_a_field_or_nothing(body, path, found):
    assert found_at(body, path) == found


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}, {"next": "  "}, {"next": False}, {"next": {}}])
@pytest.mark.parametrize("paginator", [Cursor(next="next", param="after"), NextUrl("next")], ids=["cursor", "address"])
def test_a_next_that_names_nothing_is_the_end(paginator, end):
    assert paginator.following(FIRST, answered(end), [{"id": 1}], 10) is None


@pytest.mark.parametrize("cursor", [[1700000000, "id-7"], {"pk": {"S": "a"}}, 0, 1.5, "c"])
def test_a_body_takes_a_cursor_of_any_kind(cursor):
    first = httpx.Request("POST", "/search", json={})
    request = Cursor(next="last", param="search_after", where="json").following(
        first, answered({"last": cursor}), [], 9
    )
    assert json.loads(request.content) == {"search_after": cursor}


@pytest.mark.parametrize(
    ("paginator", "value"),
    [(Cursor(next="next", param="after"), each) for each in ([1], {"a": 1}, True)]
    + [(NextUrl("next"), each) for each in (["/x"], {"href": "/x"}, 5, True)],
)
def test_a_next_that_cannot_be_requested_is_no_end(paginator, value):
    """Otherwise the rest of the list would be missing without a word."""
    with pytest.raises(ListCutShort, match="its next names"):
        paginator.following(FIRST, answered({"next": value}), [{"id": 1}], 10)


@pytest.mark.parametrize(("said", "continues"), [(True, True), ("true", True), (1, True), ("false", False), (0, False)])
def test_a_flag_is_read_in_the_spellings_of_apis(said, continues):
    request = PageNumber(more="more").following(FIRST, answered({"more": said}), [1], 10)
    assert (request is not None) is continues


def test_a_flag_that_promises_more_without_naming_it_is_no_end():
    with pytest.raises(ListCutShort, match="has_more"):
        Cursor(next="next", param="after", more="has_more").following(FIRST, answered({"has_more": True}), [1], 10)
    with pytest.raises(ListCutShort, match="id"):
        LastId().following(FIRST, answered({"has_more": True}), [], 10)


def test_a_link_header_and_an_address_keep_method_headers_and_body():
    first = httpx.Request("POST", "/search", json={"q": 1}, headers={"X-Version": "7"})
    linked = answered({}, first, headers={"Link": '<https://api.test/search?c=2>; rel="next"'})
    named = answered({"next": "/search?c=2"}, first)
    for request in (LinkHeader().following(first, linked, [], 10), NextUrl("next").following(first, named, [], 10)):
        assert (request.method, request.url.raw_path, request.headers["x-version"]) == ("POST", b"/search?c=2", "7")
        assert json.loads(request.content) == {"q": 1}


@pytest.mark.parametrize(("said", "total"), [(7, 7), ("7", 7), (0, 0), (-1, None), (None, None), ("many", None)])
def test_a_total_that_is_no_number_of_items_is_unknown(said, total):
    assert Offset(total="meta.count").total_of(answered({"meta": {"count": said}})) == total
    assert Offset().total_of(answered({"total": said})) is None
    assert PageNumber(last="total").total_of(answered({"total": said})) is None


PAGINATORS = st.sampled_from(
    [
        PageNumber(more="a", last="b"),
        PageNumber(where="json", last="a.b"),
        Offset(more="a", total="b"),
        Offset(where="json", total="a.0"),
        Cursor(next="a", param="b", more="c"),
        NextUrl("a"),
        LinkHeader(),
        LastId(id="a", more="b"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(PAGINATORS, JSON, st.lists(JSON, max_size=3))
def test_any_answer_gives_a_request_an_end_or_an_end_that_is_cut_short(paginator, body, items):
    first = httpx.Request("POST", "/things", json={})
    try:
        request = paginator.following(paginator.first(first, 10), answered(body, first), items, 10)
    except (ListCutShort, httpx.InvalidURL):
        return
    assert request is None or request.method == "POST"
