"""Second imports of sources with slices: removed items, changed parents, fresh imports."""

import httpx
import pytest

from import_pipeline_tests.support.sliced_api import Comments, SlicedApi, Windows, comments_of
from import_pipeline_tests.support.sliced_imports import Importing, all_of

pytestmark = pytest.mark.by_turns  # both kinds run the statements of these imports, each in some of the cases


class ChangedOnly(Comments):
    """Reads the comments of changed issues only."""

    changed_only = True


@pytest.fixture
def importing(home, database_url):
    """Both sources, imported once; each issue has a version."""
    api = SlicedApi(comments_of([10] * 10), versions={str(number): "1" for number in range(1, 11)})
    found = Importing(home, api, DATABASE_URL=database_url)
    found.parents()
    found.children()
    return found


def read(importing, call):
    """The slices that the call reads."""
    importing.api.asked.clear()
    summary = call()
    return summary, {issue for issue, _ in importing.api.asked if issue is not None}


def test_items_that_their_slice_no_longer_has_are_gone(importing):
    removed = importing.api.comments["3"].pop()
    assert importing.children().items_gone_count == 1
    assert importing.gone == {removed}
    assert removed in importing.comments  # its row stays
    importing.api.comments["3"].append(removed)
    importing.children()
    assert importing.gone == set()


def test_nothing_is_gone_of_a_slice_that_failed_or_was_not_listed(importing):
    removed = [importing.api.comments[key].pop() for key in ("1", "2", "3")]
    importing.api.answers["2"] = httpx.Response(404)
    summary = importing.windows(["1", "2"])
    assert summary.incomplete_reason.startswith("1 of 2 slices failed")
    assert importing.gone == {removed[0]}


def test_an_item_that_moved_to_another_slice_is_not_gone(importing):
    importing.api.comments["2"].append(importing.api.comments["1"].pop())
    assert importing.children().items_gone_count == 0


def test_an_item_of_several_slices_is_gone_only_if_all_were_read(importing):
    shared = "shared"
    for key in ("1", "2"):
        importing.api.comments[key].append(shared)
    importing.children()
    importing.api.comments["1"].remove(shared)
    importing.api.answers["2"] = httpx.Response(404)
    importing.children()
    assert importing.gone == set()
    del importing.api.answers["2"]
    importing.api.comments["2"].remove(shared)
    importing.children()
    assert importing.gone == {shared}


def test_items_of_a_parent_that_is_gone_are_gone(importing):
    removed = importing.api.comments.pop("4")
    importing.parents()
    summary, slices = read(importing, importing.children)
    assert (slices, importing.gone) == (set(importing.api.comments), set(removed))
    assert (summary.status, summary.incomplete_reason) == ("completed", None)


def test_many_removed_items_are_marked_only_when_confirmed(importing):
    for key in ("1", "2", "3"):
        importing.api.comments[key].clear()
    summary = importing.children()
    assert (summary.items_gone_unconfirmed_count, importing.gone) == (30, set())


def test_only_changed_parents_are_read_again(importing):
    importing.api.versions["5"] = "2"
    importing.api.comments["5"].append("new")
    importing.api.comments["11"] = ["11-0"]
    importing.parents()
    summary, slices = read(importing, lambda: importing.children(ChangedOnly()))
    assert (summary.status, slices) == ("completed", {"5", "11"})
    assert importing.comments == all_of(importing.api)
    assert importing.gone == set()


def test_slices_that_failed_are_read_again_although_their_parents_have_not_changed(importing):
    importing.api.answers["7"] = httpx.Response(404)
    importing.children()
    importing.parents()
    _, slices = read(importing, lambda: importing.children(ChangedOnly()))
    assert slices == {"7"}
    del importing.api.answers["7"]
    assert read(importing, lambda: importing.children(ChangedOnly()))[1] == {"7"}
    assert read(importing, lambda: importing.children(ChangedOnly()))[1] == set()


def test_a_change_by_an_import_that_had_not_ended_before_is_read_later(importing):
    with importing.scheduled_parents() as run_slot:
        assert read(importing, lambda: importing.children(ChangedOnly()))[1] == set()
        importing.api.versions["5"] = "2"
        run_slot()
    assert read(importing, lambda: importing.children(ChangedOnly()))[1] == {"5"}
    assert read(importing, lambda: importing.children(ChangedOnly()))[1] == set()


def test_a_refetch_reads_all_slices_and_deletes_nothing(importing):
    removed = importing.api.comments["3"].pop()
    summary, slices = read(importing, lambda: importing.children(ChangedOnly(), refetch=True))
    assert (summary.status, slices) == ("completed", set(importing.api.comments))
    assert removed in importing.comments
    assert read(importing, lambda: importing.children(ChangedOnly()))[1] == set()


class SecondRevision(ChangedOnly):
    """The same, in a second revision."""

    revision = 2


def test_another_revision_reads_all_slices_until_an_import_has_completed(importing):
    everything = set(importing.api.comments)
    assert read(importing, lambda: importing.children(SecondRevision(), limit=3))[1] < everything
    assert read(importing, lambda: importing.children(SecondRevision()))[1] == everything
    assert read(importing, lambda: importing.children(SecondRevision()))[1] == set()


def test_a_fresh_import_reads_all_slices_and_deletes_what_no_slice_has(importing):
    removed = importing.api.comments["3"].pop()
    summary, slices = read(importing, lambda: importing.children(ChangedOnly(), fresh=True))
    assert (summary.status, slices) == ("completed", set(importing.api.comments))
    assert importing.comments == all_of(importing.api)
    assert removed not in importing.comments


def test_a_fresh_import_with_a_failed_slice_deletes_nothing(importing):
    before = importing.comments
    importing.api.comments["3"].pop()
    importing.api.answers["9"] = httpx.Response(404)
    importing.children(fresh=True)
    assert importing.comments == before


def test_slices_of_windows_that_are_listed_no_more_keep_their_items(importing):
    summary, slices = read(importing, lambda: importing.children(Windows(["1"])))
    assert (slices, importing.gone, summary.incomplete_reason) == ({"1"}, set(), None)
