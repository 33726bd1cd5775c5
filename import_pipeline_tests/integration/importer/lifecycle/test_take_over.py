"""Imports whose process died before it started them, and stalled ones that differ from the requested import."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from import_pipeline import run_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create, satisfies
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import start_or_take_over
from import_pipeline.rules.status import ImportKind, Trigger
from import_pipeline.tracking import imports, scheduling
from import_pipeline.tracking.workers import Worker, machine, this_process
from import_pipeline_tests.support.imports import counts, demo_api, settings, tracking
from import_pipeline_tests.support.imports import rows as user_rows
from import_pipeline_tests.support.lifecycle import at


@pytest.fixture(scope="module")
def dead():
    """A process of this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Worker(id="dead", host=machine(), pid=process.pid)


def requested(life, **options):
    return new_import(life.source, Trigger.CLI, **options)


def made(life, starter, **options):
    """The scheduled import that a `run` made."""
    return life.do(imports.create, requested(life, **options), life.now, starter).id


def prepared(life, **options):
    return find_or_create(life.database, life.source, requested(life, **options), life.clock).id


def test_a_run_takes_the_import_that_a_killed_one_created(life, dead):
    orphan = made(life, dead)
    assert prepared(life) == orphan
    row = life.get(orphan)
    assert (row.host, row.pid, row.status) == (machine(), this_process().pid, "scheduled")
    assert life.actions(orphan) == ["import_adopted"]
    assert prepared(life) != orphan  # it is about to be started by a living process


def test_an_abandoned_import_that_differs_from_the_request_is_cancelled_with_the_reason(life, dead):
    orphan = made(life, dead, only=["3"])
    assert prepared(life) != orphan
    row = life.get(orphan)
    assert row.status == "cancelled"
    assert row.failure_reason == f"process {dead.pid} on {machine()} died before it started the import"


def test_an_import_of_another_machine_is_an_orphan_after_a_minute_only(life):
    orphan = made(life, Worker(id="x", host="elsewhere", pid=1))
    first = prepared(life)
    assert first != orphan
    life.do(scheduling.cancel_scheduled, first, life.now, "not needed")
    life.go_on(seconds=60)
    assert prepared(life) == orphan


def test_an_abandoned_import_whose_run_the_sensor_requested_is_left_to_that_run(life, dead):
    orphan = made(life, dead)
    life.go_on(seconds=61)
    assert [launch.import_id for launch in life.tick().launches] == [orphan]
    assert prepared(life) != orphan


def test_slots_and_requests_are_not_taken_as_abandoned(life):
    slot = life.slot(at(9))
    life.go_on(minutes=5)
    assert prepared(life) != slot
    assert life.get(slot).status == "scheduled"


def test_of_runs_at_the_same_moment_one_takes_the_abandoned_import(life, dead):
    orphan = made(life, dead)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: prepared(life), range(6)))
    assert found.count(orphan) == 1
    assert len(set(found)) == 6


def test_a_run_that_loses_the_race_gives_its_import_back(life):
    slot = life.slot(at(9))
    assert [launch.import_id for launch in life.tick().launches] == [slot]
    assert life.do(scheduling.release_run_request, slot, life.now)
    assert [launch.import_id for launch in life.tick().launches] == [slot]  # immediately, not after a minute
    life.begin(slot)
    assert not life.do(scheduling.release_run_request, slot, life.now)


ASKED = [
    ({}, {}, True),
    ({"fresh": True}, {}, True),
    ({}, {"fresh": True}, False),
    ({"limit": 5}, {}, False),
    ({"limit": 5}, {"limit": 5}, True),
    ({}, {"limit": 5}, True),
    ({"only": ["3"]}, {}, False),
    ({"only": ["3"]}, {"only": ["3"]}, True),
    ({"only": ["3"]}, {"only": ["4"]}, False),
    ({}, {"only": ["3"]}, False),
    ({"kind": ImportKind.DISCOVERY}, {}, False),
    ({"retry_of": 1}, {}, False),
]


@pytest.mark.parametrize(("found", "asked", "is_it"), ASKED)
def test_a_found_import_satisfies_a_request_if_it_does_all_of_it(life, found, asked, is_it):
    row = life.get(made(life, None, **found))
    assert satisfies(row, requested(life, **asked)) is is_it


def left_behind(configured, worker, **options):
    """A running import whose worker is gone."""
    with open_installation(configured) as installation:
        source = installation.source("items")
        row = find_or_create(
            installation.database, source, new_import(source, Trigger.CLI, **options), installation.clock
        )
        start_or_take_over(installation.database, source, row.id, worker, installation.clock, None)


def test_a_stalled_selection_is_resumed_before_the_requested_full_import(home, dead):
    with demo_api(items=20) as url:
        configured = settings(home, url)
        left_behind(configured, dead, only=["3", "4"])
        summary = run_import("items", settings=configured)
    with tracking(configured) as connection:
        story = [(row.kind, row.status, row.items_imported_count) for row in imports.latest(connection)[::-1]]
    assert story == [("selection", "completed", 2), ("full", "completed", 20)]
    assert (summary.import_id, counts(summary)) == (2, ("completed", 20, 20, 0, 0))
    assert len(user_rows(configured)) == 20
