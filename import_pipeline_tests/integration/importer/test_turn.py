"""Chosen items wait for a running import, as long as the source says; everything else is refused at once."""

import pytest

from import_pipeline.errors import ImportAlreadyRunning
from import_pipeline.importer.start import new_import
from import_pipeline.importer.turn import prepare_in_turn
from import_pipeline.rules.status import ImportKind, ImportStatus, Trigger
from import_pipeline_tests.life import Life, at, items_source


class Waiting:
    """A pause in which the clock goes on, and after some of which the running import ends."""

    def __init__(self, life, hand, ends_after):
        self.life, self.hand, self.ends_after = life, hand, ends_after
        self.paused, self.told = [], []

    def __call__(self, seconds):
        self.paused.append(seconds)
        self.life.go_on(seconds=seconds)
        if len(self.paused) == self.ends_after:
            self.hand.import_all("1")
        elif len(self.paused) < self.ends_after:
            self.hand.beat()

    def prepare(self, **wishes):
        new = new_import(self.life.source, Trigger.CLI, **wishes)
        return prepare_in_turn(self.life.installation, self.life.source, new, self.told.append, self)


@pytest.fixture
def busy(life):
    """A function: somebody who waits for a running import, which ends after so many looks."""

    def waiting(ends_after, wait=300.0):
        here = Life(life.database, life.now, items_source(wait=wait))
        return Waiting(here, here.begin(here.slot(at(9))), ends_after)

    return waiting


def test_chosen_items_wait_for_the_running_import_and_say_so_once(busy):
    waiting = busy(ends_after=3)
    row = waiting.prepare(only=["1"])
    assert (row.status, row.kind) == (ImportStatus.SCHEDULED, ImportKind.SELECTION)
    assert waiting.paused == [1.0, 1.0, 1.0]
    [told] = waiting.told
    assert told.startswith(
        "Waiting for up to 300 s (ITEMS_WAIT) until no other import runs. items: import 1 is running"
    )
    assert "Wait for it" not in told


def test_they_wait_no_longer_than_the_source_says(busy):
    waiting = busy(ends_after=99, wait=2.5)
    with pytest.raises(ImportAlreadyRunning, match=r"import \d+ is running since"):
        waiting.prepare(only=["1"])
    assert waiting.paused == [1.0, 1.0, 0.5]


def test_any_other_import_is_refused_at_once(busy):
    waiting = busy(ends_after=1)
    with pytest.raises(ImportAlreadyRunning):
        waiting.prepare()
    assert (waiting.paused, waiting.told) == ([], [])
