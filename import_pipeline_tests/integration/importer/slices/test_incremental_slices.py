"""Slices of an incremental source: one bookmark for all of them, which no change in any slice lies below."""

import itertools
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from import_pipeline import Incremental
from import_pipeline.importer.control.deletion import prune
from import_pipeline.importer.installation import open_installation
from import_pipeline.tracking.lists import bookmarks
from import_pipeline_tests.support.imports import tracking
from import_pipeline_tests.support.sliced_api import SlicedApi, Windows, comments_of
from import_pipeline_tests.support.sliced_imports import Importing, all_of

pytestmark = pytest.mark.by_turns  # both kinds run the statements of these imports, each in some of the cases


class Changes(Windows):
    """Asks each slice for what has changed since the bookmark; one slice at a time, so that the order is known."""

    concurrency = 1
    incremental = Incremental()

    def slice_request(self, key):
        request = super().slice_request(key)
        return httpx.Request("GET", request.url, params={"since": self.since} if self.since else {})

    def position(self, item):
        return item["at"]

    def version(self, item):
        return item["at"]


class ChangesApi(SlicedApi):
    """Each comment has a position; a slice lists those from `since` on."""

    def __init__(self, comments, place):
        self.places = {each: place(number) for number, each in enumerate(itertools.chain(*comments.values()), start=1)}
        super().__init__(comments)
        self.since = []
        self.before_page = lambda issue: None

    def __call__(self, request):
        since = request.url.params.get("since")
        self.since.append(since)
        issue = request.url.path.split("/")[2]
        self.before_page(issue)
        if issue in self.answers:
            return self.answers[issue]
        found = [each for each in self.comments[issue] if since is None or self.place(each) >= self.order(since)]
        items = [{"id": each, "text": "t", "at": self.places[each]} for each in found]
        return self.page(items, int(request.url.params["page"]))

    def place(self, comment):
        return self.order(self.places[comment])

    @staticmethod
    def order(place):
        return int(place) if place.isdecimal() else datetime.fromisoformat(place)


def moment(number):
    return (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=number)).isoformat()


@pytest.fixture(params=[str, moment], ids=["numbers", "times"])
def importing(home, request, database_url):
    return imported_once(home, request.param, DATABASE_URL=database_url)


@pytest.fixture
def numbered(home):
    return imported_once(home, str)


def imported_once(home, place, **environment):
    found = Importing(home, ChangesApi(comments_of([3, 12, 4]), place), **environment)
    assert found.children(source(found)).status == "completed"
    return found


def source(importing):
    return Changes(list(importing.api.comments))


def bookmark(importing):
    with tracking(importing.settings) as connection:
        return bookmarks.of_source(connection, "comments").value


def test_a_second_import_asks_each_slice_for_what_has_changed(importing):
    before = bookmark(importing)
    importing.api.since.clear()
    summary = importing.children(source(importing))
    assert (importing.row.kind, summary.status, summary.incomplete_reason) == ("incremental", "completed", None)
    assert set(importing.api.since) == {before}
    assert len(importing.api.since) <= 4  # a page per slice, and one more of the largest
    largest = max(importing.api.places.values(), key=importing.api.order)  # the import before has seen it
    assert (summary.items_imported_count, importing.gone, bookmark(importing)) == (0, set(), largest)


def test_numbers_are_taken_from_the_first_page_and_times_up_to_the_start(importing):
    places = importing.api.places
    expected = places["1-2"] if places["1-2"].isdecimal() else max(places.values())
    assert bookmark(importing) == expected


def test_a_slice_that_failed_leaves_the_bookmark(importing):
    before = bookmark(importing)
    last = "1000" if before.isdecimal() else datetime.now(UTC).isoformat()
    importing.api.comments["1"].append("new")
    importing.api.places["new"] = last
    importing.api.answers["2"] = httpx.Response(404)
    importing.children(source(importing))
    assert bookmark(importing) == before
    del importing.api.answers["2"]
    importing.children(source(importing))
    assert importing.comments == all_of(importing.api)


def test_a_retry_asks_a_failed_slice_from_the_same_bookmark_and_leaves_it(importing):
    before = bookmark(importing)
    importing.api.comments["2"].append("new")
    importing.api.places["new"] = "1000" if before.isdecimal() else datetime.now(UTC).isoformat()
    importing.api.answers["2"] = httpx.Response(404)
    importing.children(source(importing))
    importing.api.answers.clear()
    importing.api.since.clear()
    summary = importing.retry(source(importing))
    assert (summary.status, summary.incomplete_reason, summary.since) == ("completed", None, before)
    assert (set(importing.api.since), bookmark(importing)) == ({before}, before)
    assert importing.comments == all_of(importing.api)


def test_a_change_in_a_slice_that_was_read_already_is_found_by_the_next_import(importing):
    """While the second slice is read, the first one gets a comment, and the second one a later one."""

    def change(issue):
        if issue != "2" or "late-1" in importing.api.places:
            return
        for key in ("1", "2"):
            importing.api.comments[key].append(f"late-{key}")
            now = datetime.now(UTC).isoformat()
            importing.api.places[f"late-{key}"] = f"100{key}" if importing.api.places["1-0"].isdecimal() else now

    importing.api.before_page = change
    importing.children(source(importing))
    assert "late-1" not in importing.comments
    importing.children(source(importing))
    assert importing.comments == all_of(importing.api)


def add_slice(importing):
    """Give the API a slice whose first comment is as old as the oldest one, and its second one new."""
    places = importing.api.places
    importing.api.comments["4"] = ["old", "young"]
    places["old"], places["young"] = places["1-0"], max(places.values(), key=importing.api.order)


def test_a_slice_that_is_new_since_the_bookmark_is_read_whole_once(importing):
    add_slice(importing)
    importing.children(source(importing))
    assert importing.row.kind == "incremental"
    assert importing.comments == all_of(importing.api)
    importing.api.since.clear()
    importing.children(source(importing))
    assert None not in importing.api.since


def test_a_retry_reads_a_new_slice_that_failed_as_a_whole(numbered):
    add_slice(numbered)
    numbered.api.answers["4"] = httpx.Response(404)
    numbered.children(source(numbered))
    numbered.api.answers.clear()
    numbered.retry(source(numbered))
    assert numbered.comments == all_of(numbered.api)


def test_a_slice_that_an_import_left_out_is_read_whole_again(numbered):
    """Meanwhile the bookmark has moved, so changes of the slice may lie below it."""
    numbered.api.comments["1"].append("new")
    numbered.api.places["new"] = "100"
    numbered.children(Changes(["1", "2"]))
    numbered.children(Changes(["1", "2"]))  # a number becomes the bookmark once two imports have seen it
    numbered.api.comments["3"].append("missed")
    numbered.api.places["missed"] = numbered.api.places["3-0"]
    numbered.children(source(numbered))
    assert numbered.comments == all_of(numbered.api)


def test_pruned_slices_count_as_read_if_items_prove_it(numbered):
    with open_installation(numbered.settings) as installation:
        prune(installation, 0)
    add_slice(numbered)
    numbered.api.since.clear()
    numbered.children(source(numbered))
    assert numbered.comments == all_of(numbered.api)
    assert numbered.api.since.count(None) == 1


def test_keys_that_only_an_incremental_import_has_say_themselves_what_they_read(numbered):
    class OfChanges(Changes):
        def slices(self):
            return self.keys if self.since is None else ["5"]

    numbered.api.comments["5"] = []
    numbered.children(OfChanges(["1", "2", "3"]))
    assert numbered.api.since[-1] is not None
