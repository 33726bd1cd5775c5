"""The arithmetic of pages."""

import pytest

from source_api.pages import PageRequest, page_request, paginated

PATH = "http://demo/api/items"


@pytest.mark.parametrize(
    ("page", "per_page", "expected"),
    [
        (None, None, (1, 15)),
        ("3", "50", (3, 50)),
        ("0", "0", (1, 1)),
        ("-2", "-2", (1, 1)),
        ("garbage", "garbage", (1, 15)),
        ("1.5", "1e9", (1, 15)),
        ("", "", (1, 15)),
        ("٣", "1_0", (1, 15)),
        ("9" * 5000, "101", (1, 100)),
    ],
)
def test_page_and_size_are_read_forgivingly(page, per_page, expected):
    asked = page_request(page, per_page)
    assert (asked.page, asked.per_page) == expected


def answer(page: int, *, rows: int, total: int = 40, says_per_page: bool = False):
    asked = PageRequest(page=page, per_page=15, says_per_page=says_per_page)
    return paginated([{"id": n} for n in range(rows)], asked=asked, total=total, path=PATH)


def test_a_page_in_the_middle_has_neighbours_on_both_sides():
    assert answer(2, rows=15, says_per_page=True) == {
        "current_page": 2,
        "data": [{"id": n} for n in range(15)],
        "first_page_url": f"{PATH}?page=1&perPage=15",
        "from": 16,
        "last_page": 3,
        "last_page_url": f"{PATH}?page=3&perPage=15",
        "next_page_url": f"{PATH}?page=3&perPage=15",
        "path": PATH,
        "per_page": 15,
        "prev_page_url": f"{PATH}?page=1&perPage=15",
        "to": 30,
        "total": 40,
    }


@pytest.mark.parametrize(
    ("page", "rows", "total", "expected"),
    [
        # page, rows on it, total: from, to, last_page, next, prev
        (1, 15, 40, (1, 15, 3, f"{PATH}?page=2", None)),
        (3, 10, 40, (31, 40, 3, None, f"{PATH}?page=2")),
        (9, 0, 40, (None, None, 3, None, f"{PATH}?page=8")),
        (1, 0, 0, (None, None, 1, None, None)),
        (1, 15, 15, (1, 15, 1, None, None)),
    ],
)
def test_the_edges_of_the_list(page, rows, total, expected):
    got = answer(page, rows=rows, total=total)
    assert tuple(got[key] for key in ("from", "to", "last_page", "next_page_url", "prev_page_url")) == expected
