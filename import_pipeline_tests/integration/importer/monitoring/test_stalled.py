"""What is said of a running import whose worker is gone."""

import subprocess
import sys
from datetime import timedelta

import pytest

from import_pipeline.cli import doctor_checks
from import_pipeline.importer.control import cancellation, finalize
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import view_in
from import_pipeline.importer.monitoring.stalled import StalledImport, stalled_import
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, PermitRequest
from import_pipeline.settings import load_settings
from import_pipeline.testing import MemoryPermits
from import_pipeline.tracking import events, heartbeats, leases, queries, shards
from import_pipeline.tracking.workers import Worker, machine, this_process
from import_pipeline_tests.support.lifecycle import ADA, BOB, CANCELLED, COMPLETED

GOES_ON = "Dagster's sensor, if it runs, resumes it within seconds; `import-pipeline run items` resumes it immediately"


@pytest.fixture(scope="module")
def dead():
    """A process of this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Worker(id="dead", host=machine(), pid=process.pid)


def begun(simulation, worker=ADA):
    return simulation.begin(simulation.slot(simulation.now), worker)


def stalled(simulation, hand, *, listed=True):
    with simulation.database.read() as connection:
        found = queries.snapshot(connection, hand.row.id)
        return stalled_import(connection, found, simulation.source if listed else None, simulation.now)


def test_what_has_a_worker_or_does_not_run_has_no_vacancy(simulation):
    hand = begun(simulation, this_process())
    assert stalled(simulation, hand) is None
    hand.discover()
    hand.end(COMPLETED)
    assert stalled(simulation, hand) is None


def test_a_process_of_this_machine_that_is_gone_is_told_at_once(simulation, dead):
    hand = begun(simulation, dead)
    gone = f"process {dead.pid} on {machine()} is dead"
    assert stalled(simulation, hand) == StalledImport(
        evidence=gone, next_step=f"{GOES_ON} (resume 1 of 3 without progress)", since=simulation.now
    )
    ends = f"`import-pipeline cancel {hand.row.id}` ends it"
    no_source = f"Its source is no longer listed, so it is not resumed; {ends}"
    assert stalled(simulation, hand, listed=False) == StalledImport(
        evidence=gone, next_step=no_source, since=simulation.now
    )
    for resume in (2, 3):
        simulation.begin(hand.row.id, dead)
        assert stalled(simulation, hand).next_step == f"{GOES_ON} (resume {resume} of 3 without progress)"
    simulation.begin(hand.row.id, dead)
    assert stalled(simulation, hand).next_step == (
        "Dagster's sensor, or `import-pipeline run items`, ends it as failed: it was resumed 3 times without progress; "
        "its worker died each time"
    )


def test_another_machine_s_process_counts_as_gone_after_a_lease(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=59)
    assert stalled(simulation, hand) is None
    simulation.advance(seconds=1)
    assert stalled(simulation, hand).evidence == "process 1 on elsewhere has sent no heartbeat for over 60 s"


def test_an_import_whose_resume_was_asked_for_and_does_not_begin_is_stalled(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=simulation.source.lease + 61)
    assert [launch.import_id for launch in simulation.tick().launches] == [hand.row.id]
    assert "Stalled" not in stalled(simulation, hand).next_step, "its run may yet begin"
    asked_at = simulation.now
    simulation.advance(seconds=120)
    assert stalled(simulation, hand).next_step == (
        f"Stalled: a run to resume it was requested at {asked_at:%H:%M:%S} UTC and has not begun. Check that Dagster's "
        "queue has a free slot and that its launcher works; `import-pipeline run items` resumes it immediately"
    )


def test_a_process_that_left_in_order_costs_no_resume(simulation):
    hand = begun(simulation)
    hand.leave()
    gone = "its process released it"
    assert stalled(simulation, hand) == StalledImport(evidence=gone, next_step=GOES_ON, since=simulation.now)


def test_what_is_to_be_cancelled_or_pauses_or_is_about_to_go_on_says_so(simulation):
    hand = begun(simulation)
    simulation.call(leases.write, hand.lease, simulation.now, blocked_until=simulation.now + timedelta(hours=1))
    hand.leave()
    assert (
        stalled(simulation, hand).next_step
        == f"Import {hand.row.id} is paused until 2030-06-01 11:00 UTC, as the API requested"
    )
    simulation.advance(hours=1)
    simulation.tick()
    assert stalled(simulation, hand).next_step == f"Import {hand.row.id} is about to be resumed by another run"
    cancellation.cancel(simulation.installation, hand.row.id)
    assert stalled(simulation, hand).next_step == (
        "Dagster's sensor, or `import-pipeline start-scheduled items`, ends it as cancelled"
    )


def test_what_waits_for_the_store_of_the_limits_says_who_goes_on_once_it_is_back(simulation):
    hand = begun(simulation)
    simulation.call(
        events.note, hand.row.id, simulation.now, events.PAUSED, "Paused.", reason="the store is silent", until=None
    )
    hand.leave()
    assert stalled(simulation, hand).next_step == (
        f"Import {hand.row.id} waits: the store is silent. Once it answers, Dagster's sensor, if it runs, "
        "resumes it; so does `import-pipeline run items`"
    )


def seconds(simulation, hand, usage_reader=None):
    """How the import's duration divides now: active, slept, away."""
    with simulation.database.read() as connection:
        figures = view_in(
            connection, simulation.installation, simulation.get(hand.row.id), simulation.now, usage_reader
        ).figures
    assert figures.active_seconds + figures.total_sleep_seconds + figures.away_seconds == figures.duration_seconds
    return figures.active_seconds, figures.total_sleep_seconds, figures.away_seconds


def test_the_time_since_a_worker_was_last_heard_of_is_away_time_as_soon_as_it_is_known_to_be_gone(simulation, dead):
    hand = begun(simulation)
    simulation.advance(seconds=5)
    hand.beat()
    simulation.advance(seconds=59)
    assert seconds(simulation, hand) == (64, 0, 0)
    simulation.advance(seconds=1)
    assert seconds(simulation, hand) == (5, 0, 60)
    killed = simulation.begin(hand.row.id, dead)
    assert seconds(simulation, killed) == (5, 0, 60)
    simulation.advance(seconds=7)
    assert seconds(simulation, killed) == (5, 0, 67)


def test_a_wait_that_goes_on_without_its_worker_is_away_time(simulation, dead):
    store = MemoryPermits(simulation.clock)
    usage_reader = UsageReader(settings=simulation.installation.settings, clock=simulation.clock, _permits=store)
    hand = begun(simulation, dead)
    simulation.call(leases.write, hand.lease, simulation.now, metadata={"sleeps_before": 0, "slept_before": 0.0})
    for permit in "ab":
        wanted = (PermitRequest(permit=permit, lifetime=30 * SECOND),)
        store.exchange(ExchangeRequest(api="items", process="w", tiers=((1, 10 * SECOND),), wanted=wanted))
    simulation.advance(seconds=5)
    assert seconds(simulation, hand, usage_reader) == (0, 0, 5)


def test_the_time_since_a_worker_left_is_away_time_also_once_another_one_goes_on(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=5)
    hand.leave()
    simulation.advance(seconds=40)
    assert seconds(simulation, hand) == (5, 0, 40)
    second = simulation.begin(hand.row.id, this_process())
    simulation.advance(seconds=3)
    assert seconds(simulation, second) == (8, 0, 40)


def test_the_time_until_a_rule_ends_what_nobody_works_on_is_away_time(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=5)
    hand.leave()
    simulation.advance(minutes=10)
    cancellation.cancel(simulation.installation, hand.row.id)
    simulation.tick()
    assert simulation.get(hand.row.id).status is CANCELLED
    assert seconds(simulation, hand) == (5, 0, 600)


def shard_of(simulation, hand):
    """A further run of the import, of another machine."""
    row = simulation.call(shards.acquire, hand.row.id, 2, BOB, simulation.now, "run 2")
    return leases.ShardLease(import_id=hand.row.id, fence=row.fence, worker=BOB.id, seconds=60, shard=2)


def is_deserted(simulation, hand):
    with simulation.database.read() as connection:
        return view_in(connection, simulation.installation, simulation.get(hand.row.id), simulation.now).has_no_worker


def test_an_import_has_a_worker_as_long_as_one_of_its_shards_works(simulation):
    hand = begun(simulation)
    shard = shard_of(simulation, hand)
    simulation.advance(seconds=61)
    simulation.call(shards.beat, shard, simulation.now, heartbeats.Pulse())
    gone = "process 1 on elsewhere has sent no heartbeat for over 60 s"
    assert (stalled(simulation, hand).evidence, stalled(simulation, hand).since) == (
        f"{gone}; its shards continue",
        None,
    )
    assert (is_deserted(simulation, hand), seconds(simulation, hand)) == (False, (61, 0, 0))
    assert "ends within two seconds" in cancellation.cancel(simulation.installation, hand.row.id).sentence
    simulation.advance(seconds=60)
    assert stalled(simulation, hand).evidence == gone
    assert (is_deserted(simulation, hand), seconds(simulation, hand)) == (True, (61, 0, 60))


def test_the_time_in_which_only_shards_work_is_no_away_time_once_the_import_is_gone_on_with(simulation):
    hand = begun(simulation)
    shard = shard_of(simulation, hand)
    simulation.advance(seconds=40)
    simulation.call(shards.beat, shard, simulation.now, heartbeats.Pulse())
    simulation.advance(seconds=30)
    first = simulation.begin(hand.row.id)
    assert seconds(simulation, first) == (40, 0, 30)
    simulation.advance(seconds=40)
    simulation.call(shards.beat, shard, simulation.now, heartbeats.Pulse())
    simulation.advance(seconds=30)
    assert seconds(simulation, simulation.begin(hand.row.id)) == (110, 0, 30)


def test_what_finalize_ends_was_away_since_its_worker_left(simulation):
    hand = begun(simulation)
    hand.discover("1")
    hand.succeed(hand.claim())
    simulation.advance(seconds=5)
    hand.leave()
    simulation.advance(seconds=40)
    assert finalize.finalize(simulation.installation, hand.row.id).ended
    assert seconds(simulation, hand) == (5, 0, 40)


def test_a_pause_that_the_api_asked_for_is_slept_whole_and_away_is_what_comes_after_it(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=5)
    pause = {"blocked_until": simulation.now + timedelta(hours=1), "total_sleep_seconds": 3600.0}
    simulation.call(leases.write, hand.lease, simulation.now, **pause)
    hand.leave()
    simulation.advance(hours=1, seconds=10)
    assert seconds(simulation, hand) == (5, 3600, 10)


def test_doctor_names_a_stalled_import_and_what_resumes_it(simulation, dead, tmp_path):
    settings = load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path)}, tmp_path)
    installation = Installation(
        settings=settings, sources=(simulation.source,), database=simulation.database, clock=simulation.clock
    )
    hand = begun(simulation, this_process())
    assert doctor_checks.stalled(settings, installation) == []
    hand.end(CANCELLED)
    simulation.advance(hours=3)
    stalled = begun(simulation, dead)
    [note] = doctor_checks.stalled(settings, installation)
    assert note == (
        f"import {stalled.row.id} of items is stalled: process {dead.pid} on {machine()} is dead. {GOES_ON} "
        "(resume 1 of 3 without progress)"
    )
