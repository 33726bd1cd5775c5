"""Lists that the API ends at a number of items: slices are split, and no capped list counts as complete."""

import httpx
import pytest

from import_pipeline import ImportSource
from import_pipeline_tests.support.capped_search import Halves, Ranges, Search
from import_pipeline_tests.support.imports import import_through
from import_pipeline_tests.support.sliced_api import Comment
from import_pipeline_tests.support.sliced_imports import AnsweringTogether, Importing


@pytest.mark.parametrize(
    ("total", "refuses", "size"), [(None, False, 10), (None, True, 7), ("true", False, 7), ("capped", True, 10)]
)
def test_a_slice_that_reaches_the_cap_is_split_until_its_parts_are_below_it(home, total, refuses, size):
    search = Search(100, total=total, refuses=refuses, size=size)
    importing = Importing(home, search, COMMENTS_PER_PAGE=str(size))
    summary = importing.children(Halves("0-99"))
    assert (summary.status, summary.incomplete_reason, importing.comments) == ("completed", None, set(search.ids))
    assert summary.items_count == 100
    row = importing.row
    assert (row.slices_count, row.slices_completed_count, row.slices_failed_count) == (7, 7, 0)
    assert len(set(search.asked)) == len(search.asked)


def test_a_true_total_shows_the_cap_on_the_first_page(home):
    search = Search(100, total="true")
    Importing(home, search).children(Halves("0-99"))
    assert [page for key, page in search.asked if key in {"0-99", "0-49", "50-99"}] == [1, 1, 1]


@pytest.mark.parametrize("total", [None, "true", "capped"])
def test_a_slice_at_the_cap_without_a_split_is_incomplete(home, total):
    search = Search(100, total=total)
    importing = Importing(home, search)
    summary = importing.children(Ranges("0-19", "20-99"))
    reason = (
        "the API gives 30 items of a list (max_results), and this one may have more: return smaller ones by `split`"
    )
    assert summary.incomplete_reason == f"1 slice is incomplete, first '20-99': {reason}"
    assert importing.comments == set(search.ids[:50])


class OneList(Ranges):
    """The same in one list."""

    slices, slice_request = ImportSource.slices, ImportSource.slice_request

    def list_request(self):
        return httpx.Request("GET", "/search", params={"range": "0-99"})

    def stub(self, item):
        return Comment(external_id=item["id"])


@pytest.mark.parametrize("refuses", [False, True])
def test_one_list_at_the_cap_is_incomplete_and_marks_nothing_gone(home, refuses):
    search = Search(20, refuses=refuses)
    importing = Importing(home, search)
    importing.children(OneList())
    search.ids = [str(number) for number in range(10, 100)]
    summary = importing.children(OneList())
    assert summary.incomplete_reason.endswith("and this one may have more: divide it into `slices`")
    assert (importing.gone, len(importing.comments)) == (set(), 40)
    assert search.asked.count(("0-99", 1)) == 2, "a refused page behind the cap starts no second reading"


def test_an_import_with_a_limit_is_not_split(home):
    importing = Importing(home, Search(100))
    summary = importing.children(Halves("0-99"), limit=30)
    assert (summary.status, summary.incomplete_reason, len(importing.comments)) == ("completed", None, 30)


class Circular(Halves):
    """Returns ranges that are no smaller, or none."""

    parts = {"0-99": ["0-99"]}

    def split(self, key):
        return self.parts.get(key, [])


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"0-99": ["0-99"]}, "`split` returns '0-99', which is too large itself"),
        ({"0-99": ["0-98"], "0-98": ["0-99"]}, "`split` returns '0-99', which is too large itself"),
        ({}, "this one may have more: return smaller ones by `split`"),
    ],
)
def test_a_split_that_leads_nowhere_ends_as_incomplete(home, parts, reason):
    importing = Importing(home, Search(100))
    summary = importing.children(type("Circling", (Circular,), {"parts": parts})("0-99"))
    assert (summary.status, reason in summary.incomplete_reason) == ("completed", True)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([5], "Circling.split must yield texts of 1 to 255 characters, got 5"),
        (5, "Circling.split must return an iterable of texts of 1 to 255 characters, got 5"),
    ],
)
def test_a_split_with_wrong_keys_fails_its_slice_alone(home, parts, reason):
    search = Search(100)
    importing = Importing(home, search)
    summary = importing.children(type("Circling", (Circular,), {"parts": {"0-59": parts}})("0-59", "60-79"))
    assert summary.incomplete_reason.startswith(f"1 of 2 slices failed, first '0-59': {reason}")
    assert set(search.ids[60:80]) <= importing.comments


def test_items_of_a_slice_that_was_split_are_gone_only_if_all_slices_were_read(home, database_url):
    search = Search(25)
    importing = Importing(home, search, DATABASE_URL=database_url)
    importing.children(Halves("0-99"))
    search.ids = [str(number) for number in range(2, 100)]
    search.broken = {"75-99"}
    assert "1 of" in importing.children(Halves("0-99")).incomplete_reason
    assert importing.gone == set()
    search.broken = set()
    importing.children(Halves("0-99"))
    assert importing.gone == {"0", "1"}


def test_a_resumed_import_does_not_split_again(home):
    search = Search(100)
    importing = Importing(home, search)
    summary, processes = importing.through_deaths(Halves("0-99"), deaths=[4, 9])
    assert (summary.status, summary.incomplete_reason, processes) == ("completed", None, 3)
    assert importing.comments == set(search.ids)
    assert sum(page == 3 for key, page in search.asked if key == "0-99") == 1


def test_readers_wait_for_the_parts_of_a_slice_that_another_one_reads(home):
    """The parts of the only slice are read by all readers, as lists that are answered together show."""
    search, too_few = Search(200, total="true"), {"0-199", "0-99", "100-199"}
    together = AnsweringTogether(search, 3, unless=lambda request: request.url.params["range"] in too_few)
    importing = Importing(home, search, COMMENTS_CONCURRENCY="3", COMMENTS_CEILING="3")
    summary = import_through(together, Halves("0-199"), importing.settings)
    assert summary.incomplete_reason is None
    assert (importing.comments, together.most) == (set(search.ids), 3)
