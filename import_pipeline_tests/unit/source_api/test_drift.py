"""A list that changes during paging."""

import pytest

from source_api.drift import Change, Drift, Order, parse_drift
from source_api.errors import BadOption

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "drift"),
    [
        ("2=delete", Drift(page=2, change=Change.DELETE)),
        ("10=insert*3", Drift(page=10, change=Change.INSERT, count=3)),
    ],
)
def test_changes_are_written_as_the_notation_says(text, drift):
    assert parse_drift(text) == drift


@pytest.mark.parametrize(
    "text", ["", "2", "2=", "=delete", "2=swap", "2=delete*", "2=delete*-1", "x=insert", "2=insert 3"]
)
def test_what_is_no_change_is_refused_in_a_sentence_with_what_was_expected(text):
    with pytest.raises(BadOption) as refused:
        parse_drift(text)
    expected = "'PAGE=delete' or 'PAGE=insert', with '*N' appended for N items"
    assert str(refused.value) == f"--drift: expected {expected}, got {text!r}"


async def ids(client, page):
    body = (await client.get("/api/items", params={"page": page, "perPage": 3})).json()
    return [item["id"] for item in body["data"]], body["total"]


async def test_the_list_changes_once_after_the_page_was_served(api):
    async with api(items=7, drifts=("1=delete*2", "1=insert", "2=delete")) as client:
        assert await ids(client, 1) == ([1, 2, 3], 7)
        assert await ids(client, 1) == ([3, 4, 5], 6)
        assert await ids(client, 2) == ([6, 7, 8], 6)
        assert await ids(client, 1) == ([4, 5, 6], 5)
        assert (await client.get("/api/items/8")).json()["name"].endswith(" 8")
        assert (await client.get("/api/items/3")).status_code == 404


async def test_with_the_newest_first_new_items_come_at_the_head(api):
    async with api(items=7, order=Order.NEWEST, drifts=("1=insert*2", "2=delete")) as client:
        assert await ids(client, 1) == ([7, 6, 5], 7)
        assert await ids(client, 1) == ([9, 8, 7], 9)
        assert await ids(client, 2) == ([6, 5, 4], 9)
        assert await ids(client, 1) == ([8, 7, 6], 8)
        assert await ids(client, 3) == ([2, 1], 8)
