"""Chosen items wait for a running import, as long as the source says; other imports are refused immediately."""

import pytest

from import_pipeline import run_import
from import_pipeline.errors import ImportAlreadyRunning
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.wait_for_turn import Turn
from import_pipeline.rules.status import ImportKind, ImportStatus, Trigger
from import_pipeline.tracking import imports
from import_pipeline.tracking.workers import this_process
from import_pipeline_tests.support.imports import demo_api, settings, tracking
from import_pipeline_tests.support.lifecycle import SimulatedInstallation, at, items_source
from import_pipeline_tests.support.parallel import run_in_parallel


class Waiting:
    """A pause that advances the clock; after some of them the running import ends."""

    def __init__(self, simulation, hand, ends_after):
        self.simulation, self.hand, self.ends_after = simulation, hand, ends_after
        self.paused, self.reported, self.lost = [], [], []

    def __call__(self, seconds):
        self.paused.append(seconds)
        self.simulation.advance(seconds=seconds)
        if len(self.paused) == self.ends_after:
            self.hand.import_all("1")
        elif len(self.paused) < self.ends_after:
            self.hand.beat()

    def lose_the_race(self, row, is_requested):
        """Begin the import after another process has begun one, which does not end."""
        self.lost.append(is_requested)
        self.hand, self.ends_after = self.simulation.begin(self.simulation.slot(at(12))), 99
        self.simulation.begin(row.id, this_process())

    def turn(self, **options):
        new = new_import(self.simulation.source, Trigger.CLI, **options)
        return Turn(self.simulation.installation, self.simulation.source, new, report=self.reported.append, pause=self)

    def acquire(self, **options):
        return self.turn(**options).acquire()


@pytest.fixture
def busy(simulation):
    """Return a function that waits for a running import, which ends after that many checks."""

    def waiting(ends_after, wait=300.0):
        here = SimulatedInstallation(simulation.database, simulation.now, items_source(wait=wait))
        return Waiting(here, here.begin(here.slot(at(9))), ends_after)

    return waiting


def test_chosen_items_wait_for_the_running_import_and_say_so_once(busy):
    waiting = busy(ends_after=3)
    row = waiting.acquire(only=["1"])
    assert (row.status, row.kind) == (ImportStatus.SCHEDULED, ImportKind.SELECTION)
    assert waiting.paused == [1.0, 1.0, 1.0]
    [sentence] = waiting.reported
    assert sentence.startswith(
        "Waiting for up to 300 s (ITEMS_WAIT) until no other import runs. items: import 1 has been running"
    )
    assert "Wait for it" not in sentence


def test_they_wait_no_longer_than_the_source_says(busy):
    waiting = busy(ends_after=99, wait=2.5)
    with pytest.raises(ImportAlreadyRunning, match=r"import \d+ has been running since"):
        waiting.acquire(only=["1"])
    assert waiting.paused == [1.0, 1.0, 0.5]


def test_any_other_import_is_refused_immediately(busy):
    waiting = busy(ends_after=1)
    with pytest.raises(ImportAlreadyRunning):
        waiting.acquire()
    assert (waiting.paused, waiting.reported) == ([], [])


def test_one_that_loses_the_race_for_its_start_waits_on_but_no_longer_in_all(busy):
    waiting = busy(ends_after=2, wait=3.0)
    with pytest.raises(ImportAlreadyRunning):
        waiting.turn(only=["1"]).execute(waiting.lose_the_race)
    assert waiting.lost == [True]
    assert waiting.paused == [1.0, 1.0, 1.0]
    assert len(waiting.reported) == 1


def test_any_other_that_loses_the_race_is_refused(busy):
    waiting = busy(ends_after=1)
    waiting.hand.import_all("1")
    with pytest.raises(ImportAlreadyRunning):
        waiting.turn().execute(waiting.lose_the_race)
    assert (waiting.lost, waiting.paused) == ([True], [])


def import_one(home, url, database_url):
    """Import one item in a process of its own."""
    summary = run_import("items", only=["7"], settings=settings(home, url, DATABASE_URL=database_url))
    return summary.status, summary.import_id


def test_of_several_that_ask_for_chosen_items_at_one_moment_each_has_its_turn(home, database_url):
    with demo_api(items=10, delay_after_ms=100) as url:
        endings = run_in_parallel(3, import_one, home, url, database_url)
        with tracking(settings(home, url, DATABASE_URL=database_url)) as connection:
            kept = [row.id for row in imports.latest(connection)]
    assert [status for status, _ in endings] == ["completed"] * 3
    assert sorted(number for _, number in endings) == sorted(kept), "none that lost a race is left"
