"""Imports whose process died before it started them, and stalled ones that differ from the requested import."""

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


def requested(simulation, **options):
    return new_import(simulation.source, Trigger.CLI, **options)


def made(simulation, starter, **options):
    """The scheduled import that a `run` made."""
    return simulation.call(imports.create, requested(simulation, **options), simulation.now, starter).id


def prepared(simulation, **options):
    return find_or_create(simulation.database, simulation.source, requested(simulation, **options), simulation.clock).id


def test_a_run_takes_the_import_that_a_killed_one_created(simulation, dead):
    orphan = made(simulation, dead)
    assert prepared(simulation) == orphan
    row = simulation.get(orphan)
    assert (row.host, row.pid, row.status) == (machine(), this_process().pid, "scheduled")
    assert simulation.actions(orphan) == ["import_adopted"]
    assert prepared(simulation) != orphan  # it is about to be started by a living process


def test_an_abandoned_import_that_differs_from_the_request_is_cancelled_with_the_reason(simulation, dead):
    orphan = made(simulation, dead, only=["3"])
    assert prepared(simulation) != orphan
    row = simulation.get(orphan)
    assert row.status == "cancelled"
    assert row.failure_reason == f"process {dead.pid} on {machine()} died before it started the import"


def test_an_import_of_another_machine_is_an_orphan_after_a_minute_only(simulation):
    orphan = made(simulation, Worker(id="x", host="elsewhere", pid=1))
    first = prepared(simulation)
    assert first != orphan
    simulation.call(scheduling.cancel_scheduled, first, simulation.now, "not needed")
    simulation.advance(seconds=60)
    assert prepared(simulation) == orphan


def test_an_abandoned_import_whose_run_the_sensor_requested_is_left_to_that_run(simulation, dead):
    orphan = made(simulation, dead)
    simulation.advance(seconds=61)
    assert [launch.import_id for launch in simulation.tick().launches] == [orphan]
    assert prepared(simulation) != orphan


def test_slots_and_requests_are_not_taken_as_abandoned(simulation):
    slot = simulation.slot(at(9))
    simulation.advance(minutes=5)
    assert prepared(simulation) != slot
    assert simulation.get(slot).status == "scheduled"


def test_of_runs_at_the_same_moment_one_takes_the_abandoned_import(simulation, dead):
    orphan = made(simulation, dead)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: prepared(simulation), range(6)))
    assert found.count(orphan) == 1
    assert len(set(found)) == 6


def test_a_run_that_loses_the_race_gives_its_import_back(simulation):
    slot = simulation.slot(at(9))
    assert [launch.import_id for launch in simulation.tick().launches] == [slot]
    assert simulation.call(scheduling.release_run_request, slot, simulation.now)
    assert [launch.import_id for launch in simulation.tick().launches] == [slot]  # immediately, not after a minute
    simulation.begin(slot)
    assert not simulation.call(scheduling.release_run_request, slot, simulation.now)


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
def test_a_found_import_satisfies_a_request_if_it_does_all_of_it(simulation, found, asked, is_it):
    row = simulation.get(made(simulation, None, **found))
    assert satisfies(row, requested(simulation, **asked)) is is_it


def left_behind(configured, worker, **options):
    """Leave a running import whose worker is dead."""
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
