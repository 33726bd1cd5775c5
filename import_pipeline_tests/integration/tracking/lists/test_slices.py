"""The ledger of slices: a slice has one reader, and a lead that was replaced changes nothing."""

from functools import partial

import pytest
from sqlalchemy import select

from import_pipeline.errors import LeaseLost
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking import transitions
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.lists.slice_table import import_slices
from import_pipeline.tracking.lists.slices import SliceRow
from import_pipeline_tests.support.tracking_rows import BOB, NOON, at, begun, current, do, lease_of

PAGE = {"page": 1}


def add(database, lease, *keys):
    return do(database, slices.add, lease, keys, NOON, {"sliced": True})


def claim(database, lease, limit=10, now=NOON):
    return [each.key for each in do(database, slices.claim, lease, limit, now)]


def row_of(database, lease, key):
    """Return the row of a slice, as its reader has it."""
    with database.read() as connection:
        found = select(import_slices.c.id).where(
            import_slices.c.import_id == lease.import_id, import_slices.c.key == key
        )
        return SliceRow(id=connection.scalars(found).one(), key=key)


def states(database, lease):
    """Return key -> (status, fence, page)."""
    columns = import_slices.c
    with database.read() as connection:
        found = connection.execute(select(import_slices).where(columns.import_id == lease.import_id))
        return {row.key: (row.status, row.fence, row.page) for row in found}


def taken_over(database, row):
    """Return the lease of another lead."""
    return lease_of(do(database, transitions.take_over, row, BOB, at(1), None), BOB)


def test_a_lead_claims_each_slice_once(database):
    _, lease = begun(database)
    assert add(database, lease, "a", "b", "a", "c") == 3
    assert add(database, lease, "c", "d") == 1
    assert claim(database, lease, limit=2) == ["a", "b"]
    assert claim(database, lease) == ["c", "d"]
    assert claim(database, lease) == []


def test_a_later_lead_takes_the_claimed_slices_first_and_leaves_those_that_are_read(database):
    row, lease = begun(database)
    add(database, lease, "a", "b", "c")
    claim(database, lease, limit=2)
    do(database, row_of(database, lease, "a").settle, lease, NOON, PAGE, 5)
    later = taken_over(database, row)
    assert claim(database, later, limit=1) == ["b"]
    assert claim(database, later) == ["c"]
    assert current(database, row).slices_completed_count == 1


@pytest.mark.parametrize("is_claimed_again", [False, True])
def test_a_lead_that_was_replaced_changes_no_slice(database, is_claimed_again):
    row, lease = begun(database)
    add(database, lease, "a", "b")
    claim(database, lease, limit=1)
    later = taken_over(database, row)
    if is_claimed_again:
        claim(database, later, limit=1)
    before, counted = states(database, lease), current(database, row)
    mine = row_of(database, lease, "a")
    for late in (
        partial(do, database, slices.add, lease, ["z"], NOON, PAGE),
        partial(do, database, slices.begin, lease, NOON, PAGE),
        partial(do, database, slices.claim, lease, 10, NOON),
        partial(do, database, mine.advance, lease, NOON, PAGE, total=None, new=3),
        partial(do, database, mine.settle, lease, NOON, PAGE),
        partial(do, database, mine.settle, lease, NOON, PAGE, 3),
        partial(do, database, mine.fail, lease, NOON, "boom", None),
        partial(do, database, mine.fail, lease, NOON, "boom", at(60)),
    ):
        with pytest.raises(LeaseLost):
            late()
    assert (states(database, lease), current(database, row)) == (before, counted)


def test_a_page_of_a_slice_that_its_reader_no_longer_has_is_not_stored(database):
    """The same lead, but a reader that has failed its slice already."""
    _, lease = begun(database)
    add(database, lease, "a")
    claim(database, lease)
    mine = row_of(database, lease, "a")
    do(database, mine.fail, lease, NOON, "boom", None)
    with pytest.raises(LeaseLost):
        do(database, mine.advance, lease, NOON, PAGE, total=None, new=3)
    assert states(database, lease) == {"a": (ItemStatus.FAILED, lease.fence, 0)}


def test_a_failed_slice_is_claimed_when_its_next_try_is_due_and_counted_once_it_has_none(database):
    row, lease = begun(database)
    add(database, lease, "a", "b")
    claim(database, lease)
    first, second = row_of(database, lease, "a"), row_of(database, lease, "b")
    do(database, first.fail, lease, NOON, "boom", at(60))
    do(database, second.fail, lease, NOON, "boom", None)
    assert claim(database, lease, now=at(59)) == []
    assert current(database, row).slices_failed_count == 1
    assert claim(database, lease, now=at(60)) == ["a"]
