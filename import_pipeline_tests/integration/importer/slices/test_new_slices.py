"""Slices that are new since the bookmark are read whole, although their lists are cut off, fail or are resumed."""

import httpx
import pytest

from import_pipeline import Incremental
from import_pipeline.importer.control.deletion import prune
from import_pipeline.importer.installation import open_installation
from import_pipeline_tests.support.capped_search import Halves, Search
from import_pipeline_tests.support.sliced_api import Comments, SlicedApi
from import_pipeline_tests.support.sliced_imports import Importing, all_of


class ChangingSearch(Search):
    """Finds what changed: the numbers of a range from `since` on. `broken_pages` are answered by 500."""

    broken_pages = ()

    def __call__(self, request):
        key, page = request.url.params["range"], int(request.url.params["page"])
        if (key, page) in self.broken_pages:
            return httpx.Response(500)
        since = int(request.url.params.get("since", 0))
        self.ids, known = [each for each in self.ids if int(each) >= since], self.ids
        try:
            return super().__call__(request)
        finally:
            self.ids = known


class Changes(Halves):
    """The position of an item is its number, so that a new range of smaller numbers lies below the bookmark."""

    concurrency = 1
    incremental = Incremental()

    def slice_request(self, key):
        since = {"since": self.since} if self.since else {}
        return httpx.Request("GET", "/search", params={"range": key, **since})

    def position(self, item):
        return item["id"]


def imported_once(home, **environment):
    """Import the range of the largest numbers; a search finds at most 30."""
    found = Importing(home, ChangingSearch(120), COMMENTS_PER_PAGE="10", **environment)
    found.children(Changes("100-119"))
    assert found.comments == {str(number) for number in range(100, 120)}
    return found


@pytest.fixture
def importing(home):
    return imported_once(home)


def test_the_parts_of_a_new_slice_are_read_whole(home, database_url):
    importing = imported_once(home, DATABASE_URL=database_url)
    summary = importing.children(Changes("0-99", "100-119"))
    assert (importing.row.kind, summary.incomplete_reason) == ("incremental", None)
    assert importing.comments == set(importing.api.ids)


@pytest.mark.parametrize("again", [Importing.children, Importing.retry])
def test_a_part_of_a_new_slice_that_failed_is_read_whole_by_the_next_import(importing, again):
    importing.api.broken = {"0-24"}
    assert importing.children(Changes("0-99", "100-119")).incomplete_reason is not None
    importing.api.broken = set()
    assert again(importing, Changes("0-99", "100-119")).incomplete_reason is None
    assert importing.comments == set(importing.api.ids)


def test_items_of_a_slice_that_was_read_in_part_do_not_prove_it_as_read(importing):
    """The slices of the import that moved the bookmark were pruned, so that only items show what was read."""
    with open_installation(importing.settings) as installation:
        prune(installation, 0)
    importing.api.broken_pages = {("0-19", 2)}
    importing.children(Changes("0-19", "100-119"))
    assert len(importing.comments) == 20 + 10
    importing.api.broken_pages = ()
    importing.children(Changes("0-19", "100-119"))
    assert len(importing.comments) == 20 + 20


class PlacedComments(SlicedApi):
    """Comments with positions; `since` has the position that each issue was last asked from."""

    def __init__(self):
        super().__init__({"1": [], "2": []}, versions={})
        self.places, self.since = {}, {}

    def add(self, issue, comment, place):
        self.comments[issue].append(comment)
        self.places[comment] = place
        self.versions[issue] = comment

    def __call__(self, request):
        if request.url.path == "/issues":
            return super().__call__(request)
        issue = request.url.path.split("/")[2]
        self.since[issue] = request.url.params.get("since")
        page = int(request.url.params["page"])
        if (issue, page) in self.answers:
            return self.answers[issue, page]
        found = [each for each in self.comments[issue] if self.places[each] >= int(self.since[issue] or 0)]
        return self.page([{"id": each, "at": str(self.places[each])} for each in found], page)


class ChangedOnly(Comments):
    """Asks the issues that have changed for the comments that have."""

    changed_only, concurrency, incremental = True, 1, Incremental()

    def slice_request(self, key):
        since = {"since": self.since} if self.since else {}
        return httpx.Request("GET", f"/issues/{key}/comments", params=since)

    def position(self, item):
        return item["at"]


def test_a_slice_that_was_left_out_is_read_from_where_its_last_reading_ended(home):
    """A comment came before the bookmark moved, but the parent's import did not know of it yet."""
    importing = Importing(home, PlacedComments())
    importing.api.add("1", "a1", 1)
    importing.api.add("2", "b1", 2)
    importing.parents()
    importing.children(ChangedOnly())
    importing.api.add("2", "b2", 8)
    importing.parents()
    importing.api.add("1", "a2", 5)
    importing.children(ChangedOnly())
    assert importing.row.facts.bookmark == "8"
    importing.parents()
    importing.children(ChangedOnly())
    assert importing.comments == all_of(importing.api)
    assert importing.api.since["1"] == "1"


class AllChanged(ChangedOnly):
    """The same with all issues."""

    changed_only = False


class AllWhole(Comments):
    """Whole lists of the issues that have changed."""

    changed_only = True


@pytest.mark.parametrize("source", [ChangedOnly, AllChanged, AllWhole])
def test_the_comments_of_an_issue_that_comes_back_come_back(home, source):
    """Also if the first import after the issue's return fails on the second page of its comments."""
    importing = Importing(home, PlacedComments())
    for place in range(1, 61):
        issue = "1" if place <= 12 else str(place)
        importing.api.comments.setdefault(issue, [])
        importing.api.add(issue, f"a{place}", place)
    importing.parents()
    importing.children(source())
    away = importing.api.comments.pop("1")
    importing.parents()
    importing.children(source(), **({} if source is AllWhole else {"full": True}))
    assert importing.gone == set(away)
    importing.api.comments["1"] = away
    importing.parents()
    importing.api.answers["1", 2] = httpx.Response(500)
    assert "1 of " in importing.children(source()).incomplete_reason
    importing.api.answers.clear()
    importing.children(source())
    assert importing.gone == set()
