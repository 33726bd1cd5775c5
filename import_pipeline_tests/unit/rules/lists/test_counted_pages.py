"""A request for the next page shows if the pages are counted: then items may slide from one to another."""

import pytest

from import_pipeline.rules.lists.counted_pages import is_counted

LIST = "https://api.test/items"


@pytest.mark.parametrize(
    ("current", "following"),
    [
        (LIST, f"{LIST}?page=3"),
        (f"{LIST}?page=1", f"{LIST}?page=2"),  # counted from 0
        (f"{LIST}/page/2", f"{LIST}/page/3"),
        (f"{LIST}?limit=100&offset=100", f"{LIST}?limit=100&offset=200"),
        (f"{LIST}?startIndex=101", f"{LIST}?startIndex=201"),
        (f"{LIST}?skip=90", f"{LIST}?skip=190"),  # a page had fewer items
        (f'{LIST}\n{{"from": 100, "size": 100}}', f'{LIST}\n{{"from": 200, "size": 100}}'),
        (f"{LIST}?start=0&rows=100", f"{LIST}?rows=100&start=200"),
    ],
)
def test_a_count_of_pages_or_items_is_found(current, following):
    assert is_counted(current, following, page=2, items=190 if "skip" in following else 200, per_page=100)


@pytest.mark.parametrize(
    ("current", "following"),
    [
        (f"{LIST}?start_time=0", f"{LIST}?start_time=1704067200"),
        (f"{LIST}?limit=200", f"{LIST}?limit=200&after=c3"),
        (f"{LIST}?cursor=a-2", f"{LIST}?cursor=b-3"),
        (f"{LIST}?after=2", f"{LIST}?after=ODM%3D200"),
        ("https://api.test/v3/items?per_page=2", "https://api.test/v3/items?per_page=2&after=x"),
    ],
)
def test_a_cursor_or_a_moment_counts_nothing(current, following):
    assert not is_counted(current, following, page=2, items=200, per_page=100)
