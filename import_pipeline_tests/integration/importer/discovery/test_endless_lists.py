"""Lists that repeat themselves, go in circles or have no end: ended as incomplete, with the reason."""

import pytest

from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.changing_list import ChangingList, detail, import_list, insert_first
from import_pipeline_tests.support.imports import counts


def unending(shelf, shown, after=0):
    """Answer as the shelf for the first `after` pages; then give the page `shown(page)` for each, without an end."""

    def answer(request):
        body = shelf(request)
        if "data" not in body or len(shelf.pages) <= after:
            return body
        return shelf.page(shown(shelf.pages[-1])) | {"last_page": 10**9}

    return answer


def in_circles(page):
    """Alternate between two pages."""
    return 1 + (page - 1) % 2


def always_new(pages, *, total, per_page=3):
    """An endless list of new items with that total on each page; adds each requested page to `pages`."""

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        page = int(request.url.params["page"])
        pages.append(page)
        data = [{"id": per_page * page + each} for each in range(per_page)]
        return {"data": data, "current_page": page, "last_page": page + 1, "total": total(page)}

    return answer


def test_a_page_that_comes_again_ends_the_list_as_incomplete(home):
    shelf = ChangingList(range(1, 100))
    summary, _ = import_list(unending(shelf, lambda page: min(2, page)), home)
    assert counts(summary) == ("completed", 6, 6, 0, 0)
    assert summary.incomplete_reason == "the list repeats itself: page 3 has the same items as the previous page"
    assert shelf.pages == [1, 2, 3]


def test_a_list_that_goes_in_circles_ends_as_incomplete(home):
    shelf = ChangingList(range(1, 7), names_total=False)
    summary, _ = import_list(unending(shelf, in_circles), home)
    assert counts(summary) == ("completed", 6, 6, 0, 0)
    assert summary.incomplete_reason == "the list repeats itself: the 3 pages up to 5 have no new items"
    assert shelf.pages == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("names_total", "reason"),
    [(True, None), (False, "the list continues, but its 3 pages up to page 5 have no items")],
)
def test_an_endless_list_of_empty_pages_ends_and_is_complete_only_by_its_total(home, names_total, reason):
    shelf = ChangingList(range(1, 7), names_total=names_total)
    source = type("Patient", (ItemsSource,), {"max_empty_pages": 3})()
    summary, _ = import_list(unending(shelf, lambda page: page), home, source)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 6, 6, 0, 0), reason)
    assert shelf.pages == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "total",
    [lambda page: None, lambda page: 3 * page, lambda page: 4],
    ids=["no total", "a total that grows", "a total that is capped"],
)
def test_an_endless_list_of_new_items_ends_as_incomplete_after_the_most_pages(home, total):
    pages = []
    summary, _ = import_list(always_new(pages, total=total), home, ITEMS_MAX_PAGES="4")
    assert (counts(summary), summary.exit_status) == (("completed", 12, 12, 0, 0), 3)
    assert summary.incomplete_reason == (
        "the list continues after 4 pages; if that is right for this API, raise ITEMS_MAX_PAGES"
    )
    assert pages == [1, 2, 3, 4]


def test_a_list_that_has_no_end_in_a_later_reading_ends_as_incomplete_too(home):
    shelf = ChangingList(range(1, 10), between={2: insert_first}, names_total=False)
    summary, _ = import_list(unending(shelf, in_circles, after=4), home, ITEMS_MAX_PAGES="6")
    assert counts(summary) == ("completed", 10, 10, 0, 0)
    assert summary.incomplete_reason == "the list repeats itself: the 3 pages up to 5 have no new items"
    assert shelf.pages == [1, 2, 3, 4, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("names_total", [True, False], ids=["with a total", "of as many pages as allowed"])
def test_an_honest_list_is_read_to_its_end(home, names_total):
    shelf = ChangingList(range(1, 10), names_total=names_total)
    summary, _ = import_list(shelf, home, ITEMS_MAX_PAGES="2" if names_total else "3")
    assert (counts(summary), summary.incomplete_reason) == (("completed", 9, 9, 0, 0), None)
    assert shelf.pages == [1, 2, 3]
