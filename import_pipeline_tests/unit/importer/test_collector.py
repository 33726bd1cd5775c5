"""The collector during an import: it looks less often, and as before afterwards."""

import gc
from collections.abc import Iterator

import pytest

from import_pipeline.importer.collector import YOUNG_OBJECTS, collecting_less


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


def test_thresholds_are_restored_after_an_error() -> None:
    gc.set_threshold(500, 7, 9)
    within = []

    def fail() -> None:
        within.append(gc.get_threshold())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), collecting_less():
        fail()
    assert within == [(YOUNG_OBJECTS, 7, 9)]
    assert gc.get_threshold() == (500, 7, 9)


@pytest.mark.parametrize("young", [0, YOUNG_OBJECTS * 2])
def test_a_program_that_collects_less_or_nothing_is_left_alone(young: int) -> None:
    gc.set_threshold(young, 10, 10)
    with collecting_less():
        assert gc.get_threshold() == (young, 10, 10)


def test_objects_that_the_program_has_frozen_stay_so() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with collecting_less():
        pass
    assert gc.get_freeze_count() == frozen


def test_an_import_within_another_changes_nothing() -> None:
    with collecting_less():
        with collecting_less():
            pass
        assert gc.get_threshold()[0] == YOUNG_OBJECTS


def test_new_cycles_are_still_collected() -> None:
    class Node:
        found = 0

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Node.found += 1

    with collecting_less():
        for _ in range(2 * YOUNG_OBJECTS):
            Node()
        assert Node.found > 0
