"""Where discovery stands after a page, and what of it is stored."""

from dataclasses import replace

import pytest

from import_pipeline.importer.checkpoint import Checkpoint
from import_pipeline.redaction import keep

FIRST = Checkpoint().after(["1", "2"], 4)


def test_a_page_is_counted_and_told_from_every_other_one():
    second = FIRST.after(["3", "4"], 4)
    assert (FIRST.page, FIRST.seen, FIRST.total) == (1, 2, 4)
    assert (second.page, second.seen, second.total) == (2, 4, 4)
    assert FIRST.fingerprint == Checkpoint().after(["1", "2"], None).fingerprint
    assert len({FIRST.fingerprint, second.fingerprint, FIRST.after(["4", "3"], 4).fingerprint}) == 3
    assert second.digest == FIRST.after(["3", "4"], 4).digest != Checkpoint().after(["3", "4"], 4).digest


@pytest.mark.parametrize(
    ("totals", "shifted", "shrunk"),
    [
        ([4, 4], False, False),
        ([4, 5], True, False),
        ([4, 3], True, True),
        ([4, 3, 3], True, True),
        ([4, None], True, False),
        ([None, 4], True, False),
        ([None, None], False, False),
    ],
)
def test_a_total_that_changes_between_two_pages_tells_that_the_list_has_moved(totals, shifted, shrunk):
    checkpoint = Checkpoint()
    for number, total in enumerate(totals):
        checkpoint = checkpoint.after([str(number)], total)
    assert (checkpoint.shifted, checkpoint.shrunk) == (shifted, shrunk)


def test_an_end_keeps_its_reason():
    ended = replace(FIRST, next_url="https://api.example.com/?page=2").ended("it goes in circles")
    assert (ended.complete, ended.next_url, ended.stopped) == (True, None, "it goes in circles")
    assert ended.ended().stopped == "it goes in circles"
    assert FIRST.ended().stopped is None


def test_what_is_stored_is_gone_on_from():
    there = replace(FIRST, next_url="https://api.example.com/items?page=2")
    assert Checkpoint.read(there.dump()) == there
    assert Checkpoint.read(FIRST.ended().dump()) == FIRST.ended()
    assert Checkpoint.read(None) == Checkpoint.read({}) == Checkpoint()


def test_an_address_that_holds_a_secret_is_not_stored_and_the_list_read_anew():
    keep("a-secret-of-this-cursor")
    there = replace(FIRST, next_url="https://api.example.com/items?cursor=a-secret-of-this-cursor")
    assert there.dump() == {**vars(there), "next_url": None}
    assert Checkpoint.read(there.dump()) == Checkpoint(passes=2)
