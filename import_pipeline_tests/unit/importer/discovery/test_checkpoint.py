"""The point that discovery has reached after a page, and how it is stored."""

import json
from dataclasses import replace

import pytest

from import_pipeline.importer.discovery.checkpoint import Basis, Checkpoint

BASIS = Basis(per_page=2, base="https://api.test/v1/", first="f1")


def after(checkpoint, ids, total, request=None):
    return checkpoint.after(ids, total, request=request or f"request {checkpoint.page + 1}")


FIRST = after(Checkpoint(basis=BASIS), ["1", "2"], 4)


def test_a_page_is_counted_and_distinguished_from_all_others():
    second = after(FIRST, ["3", "4"], 4)
    assert (FIRST.page, FIRST.seen, FIRST.total) == (1, 2, 4)
    assert (second.page, second.seen, second.total) == (2, 4, 4)
    assert FIRST.fingerprint == after(Checkpoint(), ["1", "2"], None).fingerprint
    assert len({FIRST.fingerprint, second.fingerprint, after(FIRST, ["4", "3"], 4).fingerprint}) == 3
    assert second.digest == after(FIRST, ["3", "4"], 4).digest != after(Checkpoint(), ["3", "4"], 4).digest


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
def test_a_total_that_changes_between_two_pages_shows_that_the_list_has_changed(totals, shifted, shrunk):
    checkpoint = Checkpoint()
    for number, total in enumerate(totals):
        checkpoint = after(checkpoint, [str(number)], total)
    assert (checkpoint.shifted, checkpoint.shrunk) == (shifted, shrunk)


def test_pages_without_items_are_counted_in_a_row_and_leave_the_readings_fingerprint_alone():
    one = after(FIRST, [], 4)
    two = one.after([], 4, request="r", is_absent=True)
    assert (one.empty, one.absent, two.empty, two.absent) == (1, 0, 2, 1)
    assert (two.page, two.digest, two.is_page_again) == (3, FIRST.digest, False)
    assert (after(two, ["3"], 4).empty, after(two, ["3"], 4).absent) == (0, 0)


def test_earlier_requests_and_pages_are_known():
    again = after(after(FIRST, ["3"], 4), ["1", "2"], 4, request="request 1")
    assert (again.is_page_again, again.is_request_again) == (True, True)
    assert not FIRST.is_page_again
    assert not FIRST.is_request_again
    fresh = after(again.restarted(), ["1", "2"], 4)
    assert not fresh.is_page_again
    assert not fresh.is_request_again


def test_more_items_than_the_total_refute_the_total():
    assert [after(FIRST, ["3", "4"], total).is_refuted for total in (3, 4, None)] == [True, False, False]


def test_an_end_keeps_its_reason():
    ended = replace(FIRST, next_request={"method": "GET"}).ended("its pages repeat")
    assert (ended.complete, ended.next_request, ended.stopped) == (True, None, "its pages repeat")
    assert ended.ended().stopped == "its pages repeat"
    assert FIRST.ended().stopped is None


def test_what_is_stored_is_read_again():
    there = replace(FIRST, next_request={"method": "GET", "target": "/items?page=2", "headers": []})
    for checkpoint in (there, FIRST.ended(), there.next_pass(), there.restarted(is_rejected=True)):
        assert Checkpoint.read(json.loads(json.dumps(checkpoint.dump()))) == checkpoint
    assert Checkpoint.read(None) == Checkpoint.read({}) == Checkpoint()


@pytest.mark.parametrize("stored", [{"page": 3, "next_url": "https://api.test/"}, {"page": 1, "pages": {}}])
def test_what_another_version_has_stored_means_page_one_of_a_list_that_is_known(stored):
    assert Checkpoint.read(stored) == Checkpoint(is_known=True)


def test_a_selection_is_complete_by_its_checkpoint():
    assert Checkpoint.read({"complete": True}).complete


def test_a_restart_begins_the_same_reading_of_a_list_whose_items_are_known():
    later = replace(FIRST.next_pass(), page=2, sound=True)
    assert FIRST.restarted() == Checkpoint(is_known=True)
    assert FIRST.restarted(is_rejected=True).restarted().rejections == 1
    assert (later.restarted().passes, later.restarted().sound, later.restarted().page) == (2, True, 0)
    assert not FIRST.restarted().shows_new
    assert Checkpoint().shows_new


@pytest.mark.parametrize(
    ("shrunk", "has_skipped", "sound"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_a_reading_is_sound_if_no_item_left_its_place(shrunk, has_skipped, sound):
    assert replace(FIRST, shrunk=shrunk).next_pass(has_skipped=has_skipped).sound == sound


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        (BASIS, None),
        (replace(BASIS, per_page=20), "the page size was 2 and is 20"),
        (
            replace(BASIS, base="https://other.test/"),
            "the base address was https://api.test/v1/ and is https://other.test/",
        ),
        (replace(BASIS, first="f2"), "its first request is different"),
    ],
)
def test_a_checkpoint_says_what_has_changed_under_it(now, difference):
    assert BASIS.difference(now) == difference
