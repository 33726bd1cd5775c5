"""The evidence and the next step of a stalled import, and the time that it spends without a worker."""

from datetime import timedelta

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
from import_pipeline.tracking.workers import machine, this_process
from import_pipeline_tests.support.lifecycle import ADA, BOB, CANCELLED, COMPLETED

RESUMES = "Dagster's sensor, if it runs, resumes it within seconds; `import-pipeline run items` resumes it immediately"


def begun(simulation, worker=ADA):
    return simulation.begin(simulation.slot(simulation.now), worker)


def stalled(simulation, hand, *, listed=True):
    with simulation.database.read() as connection:
        found = queries.snapshot(connection, hand.row.id)
        return stalled_import(connection, found, simulation.source if listed else None, simulation.now)


def test_an_import_with_a_worker_or_an_ended_one_is_not_stalled(simulation):
    hand = begun(simulation, this_process())
    assert stalled(simulation, hand) is None
    hand.discover()
    hand.end(COMPLETED)
    assert stalled(simulation, hand) is None


def test_a_dead_process_of_this_machine_is_noticed_at_once(simulation, dead):
    hand = begun(simulation, dead)
    evidence = f"process {dead.pid} on {machine()} is dead"
    assert stalled(simulation, hand) == StalledImport(
        evidence=evidence, next_step=f"{RESUMES} (resume 1 of 3 without progress)", since=simulation.now
    )
    ends = f"`import-pipeline cancel {hand.row.id}` ends it"
    no_source = f"Its source is no longer listed, so it is not resumed; {ends}"
    assert stalled(simulation, hand, listed=False) == StalledImport(
        evidence=evidence, next_step=no_source, since=simulation.now
    )
    for resume in (2, 3):
        simulation.begin(hand.row.id, dead)
        assert stalled(simulation, hand).next_step == f"{RESUMES} (resume {resume} of 3 without progress)"
    simulation.begin(hand.row.id, dead)
    assert stalled(simulation, hand).next_step == (
        "Dagster's sensor, or `import-pipeline run items`, ends it as failed: it was resumed 3 times without progress; "
        "its worker died each time"
    )


def test_a_process_of_another_machine_counts_as_dead_after_a_lease(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=59)
    assert stalled(simulation, hand) is None
    simulation.advance(seconds=1)
    assert stalled(simulation, hand).evidence == "process 1 on elsewhere has sent no heartbeat for over 60 s"


def test_an_import_whose_requested_resume_does_not_begin_is_stalled(simulation):
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
    evidence = "its process released it"
    assert stalled(simulation, hand) == StalledImport(evidence=evidence, next_step=RESUMES, since=simulation.now)


def test_a_cancelled_paused_or_resuming_import_names_that_as_its_next_step(simulation):
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


def test_an_import_that_waits_for_the_rate_limit_store_names_what_resumes_it(simulation):
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
    """Return the parts of the import's duration: active, slept, away."""
    with simulation.database.read() as connection:
        figures = view_in(
            connection, simulation.installation, simulation.get(hand.row.id), simulation.now, usage_reader
        ).figures
    assert figures.active_seconds + figures.total_sleep_seconds + figures.away_seconds == figures.duration_seconds
    return figures.active_seconds, figures.total_sleep_seconds, figures.away_seconds


def test_the_time_since_the_last_heartbeat_is_away_time_once_the_worker_is_known_to_be_dead(simulation, dead):
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


def test_a_wait_that_outlasts_its_worker_is_away_time(simulation, dead):
    store = MemoryPermits(simulation.clock)
    usage_reader = UsageReader(settings=simulation.installation.settings, clock=simulation.clock, _permits=store)
    hand = begun(simulation, dead)
    simulation.call(leases.write, hand.lease, simulation.now, metadata={"sleeps_before": 0, "slept_before": 0.0})
    for permit in "ab":
        wanted = (PermitRequest(permit=permit, lifetime=30 * SECOND),)
        store.exchange(ExchangeRequest(api="items", process="w", tiers=((1, 10 * SECOND),), wanted=wanted))
    simulation.advance(seconds=5)
    assert seconds(simulation, hand, usage_reader) == (0, 0, 5)


def test_the_time_since_a_worker_left_stays_away_time_after_a_resume(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=5)
    hand.leave()
    simulation.advance(seconds=40)
    assert seconds(simulation, hand) == (5, 0, 40)
    second = simulation.begin(hand.row.id, this_process())
    simulation.advance(seconds=3)
    assert seconds(simulation, second) == (8, 0, 40)


def test_the_time_until_a_rule_ends_an_import_without_a_worker_is_away_time(simulation):
    hand = begun(simulation)
    simulation.advance(seconds=5)
    hand.leave()
    simulation.advance(minutes=10)
    cancellation.cancel(simulation.installation, hand.row.id)
    simulation.tick()
    assert simulation.get(hand.row.id).status is CANCELLED
    assert seconds(simulation, hand) == (5, 0, 600)


def shard_of(simulation, hand):
    """Return a shard of the import, taken by another machine."""
    row = simulation.call(shards.acquire, hand.row.id, 2, BOB, simulation.now, "run 2")
    return leases.ShardLease(import_id=hand.row.id, fence=row.fence, worker=BOB.id, seconds=60, shard=2)


def has_no_worker(simulation, hand):
    with simulation.database.read() as connection:
        return view_in(connection, simulation.installation, simulation.get(hand.row.id), simulation.now).has_no_worker


def test_an_import_has_a_worker_as_long_as_one_of_its_shards_works(simulation):
    hand = begun(simulation)
    shard = shard_of(simulation, hand)
    simulation.advance(seconds=61)
    simulation.call(shards.beat, shard, simulation.now, heartbeats.Pulse())
    evidence = "process 1 on elsewhere has sent no heartbeat for over 60 s"
    assert (stalled(simulation, hand).evidence, stalled(simulation, hand).since) == (
        f"{evidence}; its shards continue",
        None,
    )
    assert (has_no_worker(simulation, hand), seconds(simulation, hand)) == (False, (61, 0, 0))
    assert "ends within two seconds" in cancellation.cancel(simulation.installation, hand.row.id).sentence
    simulation.advance(seconds=60)
    assert stalled(simulation, hand).evidence == evidence
    assert (has_no_worker(simulation, hand), seconds(simulation, hand)) == (True, (61, 0, 60))


def test_the_time_in_which_only_shards_work_is_no_away_time_after_a_resume(simulation):
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


def test_an_import_that_finalize_ends_was_away_since_its_worker_left(simulation):
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
        f"import {stalled.row.id} of items is stalled: process {dead.pid} on {machine()} is dead. {RESUMES} "
        "(resume 1 of 3 without progress)"
    )
