"""Retries of imports with slices: what failed or was not read is read again, and nothing else."""

import contextlib

import httpx
import pytest

from import_pipeline import ImportSource
from import_pipeline.errors import UsageError
from import_pipeline.rules.status import ImportKind
from import_pipeline_tests.support.dying_process import ProcessDied
from import_pipeline_tests.support.sliced_api import Comments, SlicedApi, Windows, comments_of
from import_pipeline_tests.support.sliced_imports import Importing, all_of

pytestmark = pytest.mark.by_turns  # both kinds run the statements of these imports, each in some of the cases

NOT_FOUND = httpx.Response(404)


@pytest.fixture
def importing(home, database_url):
    """An import of five windows, two of which have failed."""
    api = SlicedApi(comments_of([3, 12, 4, 25, 5]), answers={"2": NOT_FOUND, "4": NOT_FOUND})
    found = Importing(home, api, DATABASE_URL=database_url)
    assert found.windows().incomplete_reason.startswith("2 of 5 slices failed")
    api.asked.clear()
    return found


def test_a_retry_reads_the_failed_slices_and_no_others(importing):
    importing.api.answers.clear()
    summary = importing.retry(importing.source())
    assert (summary.status, summary.incomplete_reason, importing.comments) == (
        "completed",
        None,
        all_of(importing.api),
    )
    assert dict(importing.api.asked) == {("2", 1): 1, ("2", 2): 1, ("4", 1): 1, ("4", 2): 1, ("4", 3): 1}
    row = importing.row
    assert (row.kind, row.slices_count, row.slices_completed_count, row.slices_failed_count) == (
        ImportKind.SELECTION,
        2,
        2,
        0,
    )
    assert (summary.items_count, summary.items_imported_count, importing.gone) == (37, 37, set())


def test_a_slice_that_fails_again_is_retried_again(importing):
    del importing.api.answers["4"]
    first = importing.row.id
    summary = importing.retry(importing.source())
    assert summary.incomplete_reason.startswith("1 of 2 slices failed, first '2': ")
    assert importing.failed_slices().keys() == {"2"}
    importing.api.answers.clear()
    importing.api.asked.clear()
    assert importing.retry(importing.source()).incomplete_reason is None
    assert set(importing.api.asked) == {("2", 1), ("2", 2)}
    for number in (first, first + 1, first + 2):
        with pytest.raises(UsageError, match="and no slice is unread, except those that a later import has imported"):
            importing.retry(importing.source(), of=number)


def test_slices_that_a_later_import_has_read_are_not_read_again(importing):
    first = importing.row.id
    del importing.api.answers["2"]
    importing.windows()
    importing.api.answers.clear()
    importing.api.asked.clear()
    importing.retry(importing.source(), of=first)
    assert {issue for issue, _ in importing.api.asked} == {"4"}


class Choosy(Windows):
    """Cannot read one of the comments."""

    odd = None

    def stub(self, item, key):
        if item["id"] == self.odd:
            raise ValueError("odd")
        return super().stub(item, key)


class OneList(Comments):
    """The comments in one list."""

    parent, slice_request = None, ImportSource.slice_request

    def list_request(self):
        return httpx.Request("GET", "/comments")

    def stub(self, item):
        return super().stub(item, None)


def test_an_item_that_only_its_list_has_is_read_with_its_slice(home):
    importing = Importing(home, SlicedApi(comments_of([3, 12, 4])))
    keys = list(importing.api.comments)
    broken = type("Broken", (Choosy,), {"odd": "2-7"})(keys)
    summary = importing.children(broken)
    assert (summary.items_failed_count, summary.incomplete_reason) == (1, None)
    importing.api.asked.clear()
    summary = importing.retry(Choosy(keys))
    assert (summary.items_failed_count, importing.comments) == (0, all_of(importing.api))
    assert set(importing.api.asked) == {("2", 1), ("2", 2)}
    with pytest.raises(UsageError, match="has nothing to retry"):
        importing.retry(Choosy(keys), of=importing.row.id - 1)


def test_what_a_failed_import_has_not_read_is_read(home):
    """Slices that were never begun, and one that was begun."""
    importing = Importing(home, SlicedApi(comments_of([3, 25, 4])), COMMENTS_CONCURRENCY="1")
    importing.api.answers["2", 2] = httpx.Response(401)
    assert importing.windows().status == "failed"
    importing.api.answers.clear()
    summary = importing.retry(importing.source())
    assert (summary.status, summary.incomplete_reason, importing.comments) == ("completed", None, all_of(importing.api))
    assert importing.api.asked["1", 1] == 1


def test_slices_that_a_limit_left_out_are_not_retried(home):
    importing = Importing(home, SlicedApi(comments_of([3, 12, 4])))
    importing.windows(limit=5)
    with pytest.raises(UsageError, match="has nothing to retry"):
        importing.retry(importing.source())


def test_a_retry_is_resumed_after_a_death(importing):
    importing.api.answers.clear()
    left = [1]

    def answer_or_die(request):
        if left and sum(importing.api.asked.values()) >= 3:
            left.pop()
            raise ProcessDied
        return importing.api(request)

    with contextlib.suppress(ProcessDied):
        importing.retry(importing.source(), api=answer_or_die)
    assert importing.row.status == "running"
    summary = importing.resume(importing.source())
    assert (summary.status, summary.incomplete_reason, importing.comments) == ("completed", None, all_of(importing.api))
    assert importing.api.list_requests <= 6


def test_a_source_that_has_no_slices_any_more_has_none_to_retry(importing):
    with pytest.raises(UsageError, match="has nothing to retry"):
        importing.retry(OneList())


def test_an_item_of_several_slices_stays_one_after_a_retry(home):
    """The retry reads one of its slices only. So that slice alone does not prove later that the item is gone."""
    api = SlicedApi(comments_of([10] * 10))
    for key in ("1", "2"):
        api.comments[key].append("shared")
    importing = Importing(home, api)
    importing.windows()
    api.answers["1"] = NOT_FOUND
    importing.windows()
    api.answers.clear()
    importing.retry(importing.source())
    api.comments["1"].remove("shared")
    api.answers["2"] = NOT_FOUND
    importing.windows()
    assert importing.gone == set()


def test_slices_of_a_parent_are_retried_although_the_parent_has_changed(home):
    api = SlicedApi(comments_of([3, 12, 4]), answers={"2": NOT_FOUND})
    importing = Importing(home, api)
    importing.parents()
    importing.children()
    failed = importing.row.id
    api.comments["9"] = ["new"]
    importing.parents()
    api.answers.clear()
    api.asked.clear()
    importing.retry(of=failed)
    assert set(api.asked) == {("2", 1), ("2", 2)}


def test_a_retry_of_a_refetch_fetches_unchanged_items_too(home):
    class Versioned(Windows):
        def version(self, item):
            return "1"

    api = SlicedApi(comments_of([3, 4]))
    importing = Importing(home, api)
    source = Versioned(["1", "2"])
    importing.children(source)
    api.answers["2"] = NOT_FOUND
    importing.children(source, refetch=True)
    api.answers.clear()
    summary = importing.retry(source)
    assert (summary.items_imported_count, summary.items_unchanged_count) == (4, 0)


def test_the_figures_of_an_import_count_slices_that_were_read_later(importing):
    first = importing.row.id
    assert importing.figures(first).exit_status == 3
    importing.api.answers.clear()
    importing.retry(importing.source())
    figures = importing.figures(first)
    assert (figures.incomplete_reason, figures.slices_completed_count, figures.slices_failed_count) == (None, 5, 0)
