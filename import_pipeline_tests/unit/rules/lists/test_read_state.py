"""The state in a stored checkpoint: of one list, of slices, or of none."""

import pytest

from import_pipeline.importer.discovery.checkpoint import Basis, Checkpoint
from import_pipeline.importer.slices.state import SlicesState
from import_pipeline.rules.lists.read_mark import ReadMark
from import_pipeline.rules.lists.read_state import ReadState

LIST = Checkpoint(
    basis=Basis(per_page=100, base="https://api.example.com", first="first", versions="v1"),
    page=3,
    total=300,
    seen=250,
    mark=ReadMark(top="9"),
    rowless=2,
    deleted=1,
    owed=4,
)


def test_the_checkpoint_of_a_list_is_read_as_discovery_stores_it():
    state = ReadState.read(LIST.dump())
    assert (state.sliced, state.complete, state.versions, state.read_mark) == (False, False, "v1", ReadMark(top="9"))
    assert (state.passes, state.page, state.total, state.seen) == (1, 3, 300, 250)
    assert (state.rowless, state.deleted, state.owed) == (2, 1, 4)


def test_the_checkpoint_of_slices_is_read_as_their_enumeration_stores_it():
    stored = SlicesState(parent="teams", reference=7, parent_until=9, parent_open=[8], complete=True).dump("v2")
    state = ReadState.read(stored)
    assert (state.sliced, state.complete, state.versions) == (True, True, "v2")
    assert (state.parent, state.reference, state.parent_until, state.parent_open) == ("teams", 7, 9, [8])


@pytest.mark.parametrize("checkpoint", [None, {}, {"basis": None, "mark": None, "stopped": None}])
def test_without_a_checkpoint_nothing_was_read(checkpoint):
    assert ReadState.read(checkpoint) == ReadState()
    assert (ReadState().versions, ReadState().read_mark) == (None, ReadMark())


@pytest.mark.parametrize(
    ("items_count", "reason"),
    [(302, None), (301, "the list says 300 items, 299 were found on its pages")],
)
def test_tombstones_count_as_named_and_owed_items_do_not(items_count, reason):
    assert ReadState.read(LIST.dump()).incomplete_reason(items_count) == reason


def test_a_list_that_was_left_is_incomplete_for_that_reason():
    assert ReadState.read(LIST.ended("it has no end").dump()).incomplete_reason(302) == "it has no end"
