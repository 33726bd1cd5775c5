"""Lists that name their next page in the usual ways: read whole by a source that declares its paginator."""

import itertools

import httpx
import pytest

from import_pipeline import Offset, RestSource
from import_pipeline_tests.support.changing_list import URL, import_list
from import_pipeline_tests.support.dying_process import import_through_deaths
from import_pipeline_tests.support.imports import rows, settings
from import_pipeline_tests.support.paged_api import PAGINATORS, PASSES_EMPTY_PAGES, PagedApi, PagedSource

FULL = [[1, 2, 3], [4, 5, 6], [7]]


def taken(home, way, pages, transport=None):
    """The summary, the ids that were stored, and the pages asked for."""
    api = PagedApi(way, pages)
    summary, configured = import_list(transport or api, home, PagedSource(way))
    return summary, sorted(map(int, rows(configured))), api.asked


@pytest.mark.parametrize("way", PAGINATORS)
@pytest.mark.parametrize("pages", [FULL, [[1]], [[]], [[1, 2, 3], [4, 5, 6]], [[1], [2, 3], [4]]], ids=str)
def test_every_item_is_imported_by_one_request_a_page(home, way, pages):
    summary, ids, asked = taken(home, way, pages)
    assert ids == sorted(itertools.chain(*pages))
    assert (summary.status, summary.incomplete_reason) == ("completed", None)
    assert asked[: len(pages)] == list(range(len(pages)))
    assert len(asked) <= len(pages) + 1  # one more if only an empty page ends the list


@pytest.mark.parametrize("way", sorted(PASSES_EMPTY_PAGES - {"offset with a total", "offset in a body"}))
def test_a_page_without_items_that_names_a_next_one_is_no_end(home, way):
    summary, ids, _ = taken(home, way, [[1, 2, 3], [], [], [4]])
    assert (ids, summary.incomplete_reason) == ([1, 2, 3, 4], None)


@pytest.mark.parametrize("way", sorted(set(PAGINATORS) - {"numbers", "offset", "last id without a flag"}))
def test_a_list_that_repeats_its_page_ends_as_incomplete(home, way):
    """The next page is always the first one again; what ends without a word from the API is not among these ways."""
    api = PagedApi(way, [[1, 2, 3], [4, 5, 6]])

    def answer(request):
        got = api(request)
        if request.url.path != "/api/items":
            return got
        return api.page(0, [{"id": each, "key": {"id": each}} for each in (1, 2, 3)])

    summary, configured = import_list(answer, home, PagedSource(way))
    assert sorted(map(int, rows(configured))) == [1, 2, 3]
    assert "repeats itself" in summary.incomplete_reason


@pytest.mark.parametrize("way", PAGINATORS)
def test_a_killed_list_is_resumed_at_its_next_page(home, way):
    api, configured = PagedApi(way, FULL), settings(home, URL)
    summary, processes = import_through_deaths(api, PagedSource(way), configured, [2, 3])
    assert (sorted(map(int, rows(configured))), summary.incomplete_reason) == (list(range(1, 8)), None)
    assert (processes, api.asked[:3]) == (3, [0, 1, 2])  # no page is asked for again that was stored


@pytest.mark.parametrize("way", ["cursor", "graphql", "last id", "relative address"])
@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_cursor_that_is_not_accepted_any_more_starts_the_list_again_once(home, way, status):
    api = PagedApi(way, FULL)
    refusals = [httpx.Response(status)]

    def answer(request):
        got = api(request)
        return refusals.pop() if request.url.path == "/api/items" and api.asked[-1] == 2 and refusals else got

    summary, configured = import_list(answer, home, PagedSource(way))
    assert (sorted(map(int, rows(configured))), summary.incomplete_reason) == (list(range(1, 8)), None)
    assert api.asked == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("way", "change", "reason"),
    [
        (
            "cursor and flag",
            {"next_cursor": None},
            "its has_more says that more items follow, but its next_cursor names",
        ),
        ("last id", {"items": []}, "has no id to continue after"),
        ("last id", {"items": [{"id": 7, "key": 1}, {"id": None}]}, "has no id to continue after"),
    ],
)
def test_a_page_that_says_that_more_follow_and_names_none_is_an_incomplete_end(home, way, change, reason):
    api = PagedApi(way, FULL)

    def answer(request):
        got = api(request)
        return got | change if request.url.path == "/api/items" and api.asked[-1] == 1 else got

    summary, _ = import_list(answer, home, PagedSource(way))
    assert (summary.status, reason in (summary.incomplete_reason or "")) == ("completed", True)


def test_an_api_that_gives_fewer_items_than_asked_for_is_read_whole_by_offset(home):
    """It caps its pages at two, whatever the request says."""
    summary, ids, _ = taken(home, "offset with a total", [[1, 2], [3, 4], [5]])
    assert (ids, summary.incomplete_reason) == ([1, 2, 3, 4, 5], None)


OFFSET = Offset(param="startAt", size="maxResults", total="total")


class Issues:
    """A list by offsets. `gone` is deleted before the second request, so that later ids slide onto the first page."""

    def __init__(self, ids, gone=None):
        self.ids, self.gone, self.asked = list(ids), gone, []

    def __call__(self, request):
        start, size = (int(request.url.params[name]) for name in ("startAt", "maxResults"))
        self.asked.append(start)
        if len(self.asked) == 2 and self.gone is not None:
            self.ids.remove(self.gone)
        return {"issues": [{"id": each} for each in self.ids[start : start + size]], "total": len(self.ids)}


def declared_issues():
    return RestSource(name="items", base_url=URL, list="/issues", items="issues", pages=OFFSET, columns={}, per_page=3)


def test_the_total_that_the_paginator_reads_shows_a_list_that_shrinks(home):
    api, source = Issues(range(1, 9), gone=1), declared_issues()
    summary, configured = import_list(api, home, source)
    assert (summary.incomplete_reason, api.asked) == (None, [0, 3, 6, 0, 3, 6])
    assert set(map(int, rows(configured, source.model))) == set(range(1, 9))


def test_the_total_that_the_paginator_reads_shows_a_list_that_is_cut_short(home):
    api = Issues(range(1, 9))
    summary, _ = import_list(lambda request: api(request) | {"total": 9}, home, declared_issues())
    assert summary.incomplete_reason == "the list says 9 items, 8 were found on its pages"
