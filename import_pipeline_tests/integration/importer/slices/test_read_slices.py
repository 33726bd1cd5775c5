"""Imports with slices: each list is read whole, by itself, and concurrently with the others."""

import itertools

import httpx
import pytest

from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through, rows
from import_pipeline_tests.support.sliced_api import Comment, Comments, SlicedApi, Windows, comments_of
from import_pipeline_tests.support.sliced_imports import AnsweringTogether, Importing, all_of

SIZES = [0, 1, 10, 11, 25, 0, 30]


def test_each_item_of_the_parent_has_a_list_that_is_read_whole(home):
    importing = Importing(home, SlicedApi(comments_of(SIZES)))
    assert importing.parents().status == "completed"
    summary = importing.children()
    assert (summary.status, summary.incomplete_reason, summary.items_count) == ("completed", None, sum(SIZES))
    assert {key: row["issue"] for key, row in rows(importing.settings, Comment).items()} == {
        comment: issue for issue, comments in importing.api.comments.items() for comment in comments
    }
    assert importing.api.list_requests == importing.api.needed()


def test_keys_of_its_own_are_read_like_those_of_a_parent(home):
    importing = Importing(home, SlicedApi(comments_of(SIZES)))
    summary = importing.windows()
    row = importing.row
    assert (summary.status, importing.comments) == ("completed", all_of(importing.api))
    assert (row.slices_count, row.slices_completed_count, row.slices_failed_count) == (len(SIZES), len(SIZES), 0)


def test_a_source_without_slices_has_read_nothing_and_is_complete(home):
    importing = Importing(home, SlicedApi({}))
    summary = importing.windows()
    assert (summary.status, summary.items_count, summary.requests_count) == ("completed", 0, 0)


def test_a_key_that_comes_twice_is_read_once(home):
    importing = Importing(home, SlicedApi(comments_of([3, 4])))
    assert importing.windows(["1", "2", "1"]).status == "completed"
    assert importing.api.asked == {("1", 1): 1, ("2", 1): 1}


def test_a_child_whose_parent_was_never_imported_says_so(home):
    importing = Importing(home, SlicedApi(comments_of([3])))
    summary = importing.children()
    assert summary.status == "failed"
    assert "its parent issues has never been imported" in summary.failure_reason
    assert "import-pipeline run issues" in summary.failure_reason
    importing.parents()
    assert (importing.children().status, len(importing.comments)) == ("completed", 3)


def test_a_parent_without_items_has_no_slices(home):
    importing = Importing(home, SlicedApi({}))
    importing.parents()
    summary = importing.children()
    assert (summary.status, summary.items_count) == ("completed", 0)


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422, 301])
def test_a_slice_that_the_api_refuses_fails_alone(home, status):
    api = SlicedApi(comments_of([3, 4, 5]), answers={"2": httpx.Response(status)})
    importing = Importing(home, api)
    summary = importing.windows()
    assert (summary.status, importing.comments) == ("completed", all_of(api) - set(api.comments["2"]))
    assert summary.incomplete_reason.startswith("1 of 3 slices failed, first '2': list page 1: ")
    assert str(status) in importing.failed_slices()["2"]
    assert api.asked["2", 1] == 1


def test_a_slice_that_fails_is_tried_again_and_then_fails_with_its_last_reason(home):
    api = SlicedApi(comments_of([3, 4]), answers={"1": httpx.Response(500)})
    importing = Importing(home, api)
    summary = importing.windows()
    assert (summary.status, importing.comments) == ("completed", set(api.comments["2"]))
    assert "500 Internal Server Error, 3 times" in summary.incomplete_reason
    assert api.asked["1", 1] == 3


def test_a_page_that_fails_twice_does_not_fail_its_slice(home):
    """The tries are counted from the last stored page on."""
    failures = itertools.cycle([httpx.Response(502), httpx.Response(502), None])
    api = SlicedApi(comments_of([35]), answers={"1": lambda request: next(failures)})
    importing = Importing(home, api)
    summary = importing.windows()
    assert (summary.incomplete_reason, importing.comments) == (None, all_of(api))
    assert dict(api.asked) == {("1", page): 3 for page in (1, 2, 3, 4)}


def test_a_slice_request_that_raises_fails_its_slice(home):
    class Odd(Windows):
        def slice_request(self, key):
            if key == "2":
                raise KeyError(key)
            return super().slice_request(key)

    importing = Importing(home, SlicedApi(comments_of([3, 4, 5])))
    summary = importing.children(Odd(["1", "2", "3"]))
    assert "first '2': Odd.slice_request raises KeyError: '2'" in summary.incomplete_reason
    assert importing.comments == all_of(importing.api) - set(importing.api.comments["2"])


def test_a_refused_token_ends_the_import(home):
    api = SlicedApi(comments_of([3] * 5), answers={"1": httpx.Response(401)})
    summary = Importing(home, api).windows()
    assert (summary.status, "401" in summary.failure_reason) == ("failed", True)


@pytest.mark.parametrize("status", [403, 404])
def test_ten_slices_in_a_row_that_are_denied_end_the_import(home, status):
    api = SlicedApi(comments_of([3] * 30), answers={str(number): httpx.Response(status) for number in range(1, 31)})
    summary = Importing(home, api).windows()
    assert summary.status == "failed"
    assert "10 items in a row failed for the same reason" in summary.failure_reason
    assert api.list_requests <= 20  # ten, and those in flight


@pytest.mark.parametrize(
    ("keys", "got"),
    [(["a", 5], "got 5"), ([""], "got ''"), (["a", None], "got None"), (["k" * 256], "got 'kkk"), (["a\0"], "got ")],
)
def test_a_key_that_cannot_name_a_slice_fails_the_import(home, keys, got):
    summary = Importing(home, SlicedApi(comments_of([1]))).windows(keys)
    assert summary.status == "failed"
    assert "Windows.slices must yield texts of 1 to 255 characters" in summary.failure_reason
    assert got in summary.failure_reason


def test_a_generator_of_keys_that_raises_fails_the_import(home):
    class Broken(Windows):
        def slices(self):
            yield "1"
            raise ValueError("no calendar")

    summary = Importing(home, SlicedApi(comments_of([1]))).children(Broken([]))
    assert summary.status == "failed"
    assert "Broken.slices raises ValueError: no calendar" in summary.failure_reason


def test_slices_are_read_together(home):
    """As many lists as the source's concurrency are in flight at once."""
    api = SlicedApi(comments_of([3] * 40))
    together = AnsweringTogether(api, Comments.concurrency)
    importing = Importing(home, api)
    summary = import_through(together, Windows(list(api.comments)), importing.settings)
    assert (summary.status, importing.comments, together.most) == ("completed", all_of(api), Comments.concurrency)


def test_an_item_in_several_slices_is_one_item(home):
    api = SlicedApi({"1": ["a", "b", "c"], "2": ["b", "c", "d"], "3": [f"{n}" for n in range(25)] + ["a"]})
    importing = Importing(home, api)
    summary = importing.windows()
    assert (summary.incomplete_reason, summary.items_count, importing.comments) == (None, 29, all_of(api))


def test_pages_whose_items_are_all_in_another_slice_are_no_cycle(home):
    shared = [str(number) for number in range(60)]
    importing = Importing(home, SlicedApi({"1": shared, "2": shared}))
    summary = importing.windows()
    assert (summary.incomplete_reason, importing.comments) == (None, set(shared))


def test_a_slice_that_repeats_its_pages_is_incomplete(home):
    class Endless(SlicedApi):
        def page(self, items, page):
            return (
                super().page(items, 1) | {"more": True}
                if items and items[0]["id"] == "1-0"
                else super().page(items, page)
            )

    importing = Importing(home, Endless(comments_of([10, 20])))
    summary = importing.windows()
    assert summary.incomplete_reason.startswith("1 slice is incomplete, first '1': the list repeats itself")
    assert importing.comments == all_of(importing.api)


def test_a_slice_with_fewer_items_than_its_total_is_incomplete(home):
    class Capped(SlicedApi):
        def page(self, items, page):
            return super().page(items, page) | {"total": 99 if items and items[0]["id"] == "1-0" else len(items)}

    importing = Importing(home, Capped(comments_of([5, 20])))
    summary = importing.windows()
    assert "first '1': the list says 99 items, 5 were found on its pages" in summary.incomplete_reason
    assert importing.failed_slices().keys() == {"1"}


def test_a_limit_takes_the_items_of_the_first_slices(home):
    importing = Importing(home, SlicedApi(comments_of([3, 15, 20])))
    summary = importing.windows(limit=15)
    assert (summary.status, summary.incomplete_reason) == ("completed", None)
    assert importing.comments == {*importing.api.comments["1"], *importing.api.comments["2"][:12]}
    assert importing.windows().status == "completed"
    assert importing.comments == all_of(importing.api)


def test_an_import_that_reads_its_lists_twice_and_before_the_details_reads_all_slices(home):
    class InTurn(Windows):
        overlap = False
        read_twice = True

    importing = Importing(home, SlicedApi(comments_of(SIZES)))
    assert importing.children(InTurn(list(importing.api.comments))).status == "completed"
    assert importing.comments == all_of(importing.api)
    assert {key[0]: number for key, number in importing.api.asked.items()} == {
        key: 2 if comments else 1 for key, comments in importing.api.comments.items()
    }


def test_odd_keys_and_ids_arrive_unchanged(home):
    keys = ["a/b", "x y", "ä€😀", "..a", "%2F", "k" * 255, "'\"", "1;2"]
    api = SlicedApi({key: [f"{key[:200]}-{number}" for number in range(3)] for key in keys})
    decoded = CannedTransport(lambda request: api.page([{"id": each} for each in api.comments[key_of(request)]], 1))
    importing = Importing(home, api)
    summary = import_through(decoded, Windows(keys), importing.settings)
    assert (summary.status, summary.incomplete_reason, importing.comments) == ("completed", None, all_of(api))


def key_of(request):
    return httpx.URL(str(request.url).replace("%25", "%25")).path.removeprefix("/issues/").removesuffix("/comments")
