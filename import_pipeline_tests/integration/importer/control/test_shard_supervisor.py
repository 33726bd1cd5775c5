"""The supervision of shards on real rows: launched once, again after their death, ended with their import."""

import io

import pytest
from rich.console import Console

from import_pipeline.cli.output import json, tables
from import_pipeline.errors import LeaseLost, UsageError
from import_pipeline.importer.control import cancellation, finalize, requests
from import_pipeline.importer.control.shard_supervisor import ShardLaunch, supervise_shards
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.execution.shard_worker import execute_shard
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_details, view_in
from import_pipeline.tracking import heartbeats, imports, leases, shards
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.requests import RequestKind
from import_pipeline.tracking.workers import Worker
from import_pipeline_tests.support.lifecycle import BOB, CANCELLED, SimulatedInstallation, items_source

IDS = [str(number) for number in range(1, 101)]


@pytest.fixture
def simulation(simulation):
    """A simulated installation whose imports are shared by three runs."""
    return SimulatedInstallation(simulation.database, source=items_source(shards=3))


@pytest.fixture
def hand(simulation):
    """The run that executes an import of a hundred items."""
    started = simulation.begin(simulation.slot(simulation.now), run_id="lead")
    started.discover(*IDS)
    return started


def look(simulation, queued=()):
    return supervise_shards(simulation.installation, simulation.source, lambda import_id, number: number in queued)


def launched(simulation, queued=()):
    return [launch.number for launch in look(simulation, queued).launches]


def join(hand, number=2, worker=BOB):
    row = hand.simulation.call(shards.acquire, hand.row.id, number, worker, hand.simulation.now, f"run {number}")
    return leases.ShardLease(import_id=hand.row.id, fence=row.fence, worker=worker.id, seconds=60, shard=number)


def test_the_shards_are_launched_once_when_the_first_page_is_stored(simulation):
    hand = simulation.begin(simulation.slot(simulation.now))
    assert look(simulation).launches == []
    hand.discover(*IDS, done=False)
    assert look(simulation).launches == [ShardLaunch(import_id=hand.row.id, number=number) for number in (2, 3)]
    assert launched(simulation) == []
    assert simulation.actions(hand.row.id)[-2:] == ["shard_requested"] * 2


def test_what_never_began_is_asked_for_again_unless_dagster_still_has_it(hand, simulation):
    assert launched(simulation) == [2, 3]
    simulation.advance(seconds=60)
    assert launched(simulation, queued=(2,)) == [3]
    simulation.advance(seconds=60)
    assert launched(simulation) == [2, 3]


def test_a_strict_source_shares_its_import_only_when_everything_is_listed(simulation):
    strict = SimulatedInstallation(simulation.database, source=items_source(shards=3, overlap=False))
    hand = strict.begin(strict.slot(strict.now))
    hand.discover(*IDS, done=False)
    assert launched(strict) == []
    hand.discover(*IDS)
    assert launched(strict) == [2, 3]


def test_an_import_that_one_run_does_alone_asks_for_no_other(simulation):
    alone = SimulatedInstallation(simulation.database)
    hand = alone.begin(alone.slot(alone.now))
    hand.discover(*IDS)
    assert launched(alone) == []
    with alone.database.read() as connection:
        assert shards.of_import(connection, hand.row.id) == []


def test_a_dead_shard_is_released_reported_and_launched_again(hand, simulation):
    look(simulation)
    lease = join(hand)
    simulation.advance(seconds=59)
    simulation.call(shards.beat, lease, simulation.now, heartbeats.Pulse())
    hand.beat()
    assert look(simulation).dead_run_ids == []
    simulation.advance(seconds=60)
    hand.beat()
    found = look(simulation)
    assert (found.dead_run_ids, [launch.number for launch in found.launches]) == (["run 2"], [2, 3])
    with pytest.raises(LeaseLost):
        simulation.call(shards.beat, lease, simulation.now, heartbeats.Pulse())
    assert "shard_lost" in simulation.actions(hand.row.id)


def test_a_shard_that_dies_again_and_again_is_given_up_after_three_resumes(hand, simulation):
    launches = []
    for _ in range(6):
        launches.append(2 in launched(simulation))
        if launches[-1]:
            join(hand, worker=Worker(id=f"bob {len(launches)}", host="elsewhere", pid=2))
        simulation.advance(seconds=61)
        hand.beat()
    assert launches == [True] * 4 + [False] * 2


def test_shards_left_by_an_ended_import_are_released_and_reported_once(hand, simulation):
    look(simulation)
    join(hand)
    hand.end(CANCELLED)
    assert look(simulation).dead_run_ids == []
    simulation.advance(seconds=60)
    assert look(simulation).dead_run_ids == ["run 2"]
    assert look(simulation).dead_run_ids == []


def test_shards_of_a_request_win_over_the_source_s(simulation):
    requests.request_import(simulation.installation, simulation.source, RequestKind.NEW, shards=5, by="ada")
    hand = simulation.launch()
    hand.discover(*IDS)
    assert launched(simulation) == [2, 3, 4, 5]


def a_run(simulation):
    return ImportRun(installation=simulation.installation, source=simulation.source, worker=BOB)


@pytest.mark.parametrize("number", [0, 1])
def test_shards_are_numbered_from_two_on(hand, simulation, number):
    with pytest.raises(UsageError, match=f"shard {number}: expected a number from 2 on"):
        execute_shard(a_run(simulation), hand.row.id, number)


def test_a_shard_joins_only_a_running_import_and_only_a_free_place(hand, simulation):
    join(hand)
    with pytest.raises(LeaseLost, match=r"shard 2 of import .* has another worker, or nothing left to do"):
        execute_shard(a_run(simulation), hand.row.id, 2)
    hand.end(CANCELLED)
    with pytest.raises(LeaseLost, match=r"is cancelled: a shard can only join a running import"):
        execute_shard(a_run(simulation), hand.row.id, 3)


def test_finalize_and_cancel_know_that_shards_live(hand, simulation):
    look(simulation)
    lease = join(hand)
    simulation.advance(seconds=59)
    simulation.call(shards.beat, lease, simulation.now, heartbeats.Pulse())
    simulation.advance(seconds=2)
    with pytest.raises(UsageError, match="has a living worker"):
        finalize.finalize(simulation.installation, hand.row.id)
    assert "ends within two seconds" in cancellation.cancel(simulation.installation, hand.row.id).sentence
    simulation.advance(seconds=60)
    assert finalize.finalize(simulation.installation, hand.row.id).ended is False


def test_show_and_the_json_list_the_shards_at_work(hand, simulation):
    look(simulation)
    lease = join(hand)
    simulation.call(shards.beat, lease, simulation.now, heartbeats.Pulse(sent=CounterDelta(requests=7)))
    with simulation.database.read() as connection:
        row = imports.get(connection, hand.row.id)
        found = shards.of_import(connection, row.id)
        view = view_in(connection, simulation.installation, row, simulation.now)
    listed = json.import_details_json(view, [], [], found, [])["shards"]
    assert [(each["number"], each["pid"], each["dagster_run_id"], each["requests_count"]) for each in listed] == [
        (2, BOB.pid, "run 2", 7),
        (3, None, None, 0),
    ]
    console = Console(file=io.StringIO(), width=200)
    tables.print_details(console, view, [], [], found)
    lines = console.file.getvalue().splitlines()
    [second, third] = [line.rstrip().split(maxsplit=2)[2] for line in lines if line.startswith("shard ")]
    assert second.startswith("process 2 on elsewhere, last heartbeat ")
    assert second.endswith(", 7 requests, Dagster run run 2")
    assert third == "requested, 0 requests, Dagster run -"
    hand.end(CANCELLED)
    usage_reader = UsageReader(settings=simulation.installation.settings, clock=simulation.clock)
    assert import_details(simulation.installation, row.id, usage_reader).shards == found
