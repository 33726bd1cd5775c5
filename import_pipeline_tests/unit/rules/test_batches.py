"""The size of a batch: whole at first, one item at the last try; a refused one in two halves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.batches import batch_size, halves


@pytest.mark.parametrize(
    ("most", "tries", "sizes"),
    [
        (100, 5, [100, 32, 10, 4, 1]),
        (100, 3, [100, 10, 1]),
        (100, 2, [100, 1]),
        (100, 1, [100]),
        (1, 5, [1, 1, 1, 1, 1]),
        (2, 5, [2, 1, 1, 1, 1]),
        (1000, 12, [1000, 500, 250, 125, 62, 31, 15, 7, 3, 1, 1, 1]),
    ],
)
def test_the_size_falls_with_each_failure(most, tries, sizes):
    assert [batch_size(most, failures, tries) for failures in range(tries)] == sizes


@given(st.integers(1, 10_000), st.integers(2, 50), st.integers(0, 60))
def test_a_size_is_never_above_the_one_before_and_ends_at_one(most, tries, failures):
    size = batch_size(most, failures, tries)
    assert 1 <= batch_size(most, failures + 1, tries) <= size <= most
    assert batch_size(most, tries - 1, tries) == 1


@given(st.lists(st.integers(), min_size=2))
def test_halves_are_the_whole_in_its_order(items):
    first, second = halves(items)
    assert [*first, *second] == items
    assert 0 <= len(first) - len(second) <= 1
