"""The bucket of an item."""

import pytest

from import_pipeline.rules.partitions import buckets, merge_ranges, per_item, range_of


@pytest.mark.parametrize(
    ("size", "number", "key"),
    [
        (500, 1, "000000001-000000500"),
        (500, 500, "000000001-000000500"),
        (500, 501, "000000501-000001000"),
        (1, 7, "000000007-000000007"),
        (1000, 1_000_001, "001000001-001001000"),
    ],
)
def test_a_bucket_is_named_after_the_first_and_the_last_number_in_it(size, number, key):
    assert buckets(size).key_of(number) == key
    first, last = range_of(key)
    assert first <= number <= last
    assert last - first + 1 == size


def test_keys_sort_as_their_buckets_do():
    keys = [buckets(500).key_of(number) for number in range(1, 200_000, 500)]
    assert sorted(keys) == keys
    assert len(set(keys)) == 400


@pytest.mark.parametrize("key", ["17", "", "1-", "a-b", "1-2-3", "-1-5"])
def test_what_is_no_bucket_is_refused(key):
    with pytest.raises(ValueError, match="expected a bucket such as 000000001-000000500, got"):
        range_of(key)


def test_a_bucket_holds_something_and_an_item_of_its_own_has_no_bucket():
    with pytest.raises(ValueError, match="expected buckets of at least one item, got 0"):
        buckets(0)
    with pytest.raises(ValueError, match="one per item"):
        per_item.key_of(1)


@pytest.mark.parametrize(
    ("ranges", "fewest"),
    [
        ([], []),
        ([(1, 5)], [(1, 5)]),
        ([(6, 10), (1, 5)], [(1, 10)]),
        ([(1, 5), (11, 15)], [(1, 5), (11, 15)]),
        ([(1, 10), (3, 4), (11, 12)], [(1, 12)]),
    ],
)
def test_neighbours_are_joined(ranges, fewest):
    assert merge_ranges(ranges) == fewest
