"""Clocks set forward and back in each state: liveness and durations follow clocks that are never set."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.clock import SystemClock
from import_pipeline.errors import ImportAlreadyRunning
from import_pipeline.importer.control import cancellation, finalize, requests
from import_pipeline.importer.execution.heartbeat import Heartbeat
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.take_over import start_or_take_over
from import_pipeline.importer.lifecycle.workers import worker_states
from import_pipeline.importer.monitoring.queries import view_in
from import_pipeline.importer.monitoring.view import as_json
from import_pipeline.rules.status import Trigger
from import_pipeline.testing import FakeClock
from import_pipeline.tracking import imports, leases, shards
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.server_clock import ServerClock, clock_of
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.workers import machine, this_process
from import_pipeline_tests.support.lifecycle import ADA, BOB, CANCELLED, COMPLETED, RUNNING, SimulatedInstallation

JUMPS = [pytest.param(timedelta(hours=hours), id=f"{hours:+} h") for hours in (-30, -1, 1, 30)]
LEASE = 60


class SetClock(FakeClock):
    """A clock whose wall-clock time is set, while its monotonic one continues."""

    def __init__(self, now):
        super().__init__(now)
        self.set_by = timedelta(0)

    def now(self):
        """The wall-clock time, as it was set."""
        return super().now() + self.set_by


class Set(SimulatedInstallation):
    """A simulated installation under such a clock."""

    def __init__(self, database):
        super().__init__(database)
        self.clock = SetClock(super().now)
        object.__setattr__(self.installation, "clock", self.clock)

    def heart(self, hand):
        return Heartbeat(self.database, hand.lease, self.clock, pulse=lambda _: Pulse(), on_end=lambda error: None)

    def view(self, number):
        with self.database.read() as connection:
            return view_in(connection, self.installation, self.get(number), self.now)

    def running(self, worker):
        return self.begin(self.slot(self.now), worker)


@pytest.fixture
def clocked(simulation):
    return Set(simulation.database)


def another(clocked):
    return find_or_create(clocked.database, clocked.source, new_import(clocked.source, Trigger.CLI), clocked.clock)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_dead_process_blocks_nothing_whatever_the_clock_shows(clocked, dead, jump):
    hand = clocked.running(dead)
    clocked.clock.set_by = jump
    assert another(clocked).id == hand.row.id, "the next run resumes it"
    assert [launch.import_id for launch in clocked.tick().launches] == [hand.row.id]
    cancellation.cancel(clocked.installation, hand.row.id)
    clocked.tick()
    assert clocked.get(hand.row.id).status is CANCELLED


@pytest.mark.parametrize("jump", JUMPS)
def test_a_living_process_of_this_host_keeps_its_import_whatever_the_clock_shows(clocked, jump):
    hand = clocked.running(this_process())
    clocked.heart(hand).beat()
    clocked.clock.set_by = jump
    with pytest.raises(ImportAlreadyRunning):
        another(clocked)
    assert clocked.tick().launches == []
    assert clocked.get(hand.row.id).fence == hand.row.fence
    clocked.advance(seconds=LEASE)
    assert another(clocked).id == hand.row.id, "it is frozen: silent for a lease by the clock that is never set"


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(hours=4), timedelta(days=400)])
def test_a_heartbeat_from_the_future_counts_as_now_once_it_is_read(clocked, ahead):
    """The worker is on another host, so its process cannot be checked from here."""
    clocked.clock.set_by = ahead
    hand = clocked.running(ADA)
    clocked.call(leases.write, hand.lease, clocked.now, blocked_until=clocked.now + timedelta(seconds=30))
    clocked.clock.set_by = timedelta(0)
    with pytest.raises(ImportAlreadyRunning):
        another(clocked)
    row = clocked.get(hand.row.id)
    assert (row.heartbeat_at, row.blocked_until) == (clocked.now, clocked.now + timedelta(seconds=30))
    assert "clock_skew" in clocked.actions(hand.row.id)
    clocked.advance(seconds=LEASE - 1)
    with pytest.raises(ImportAlreadyRunning):
        another(clocked)
    clocked.advance(seconds=1)
    assert another(clocked).id == hand.row.id
    assert len(clocked.tick().launches) == 1


def test_a_living_worker_overwrites_what_was_set_right(clocked):
    clocked.clock.set_by = timedelta(hours=4)
    hand = clocked.running(ADA)
    clocked.clock.set_by = timedelta(0)
    clocked.tick()
    for _ in range(3):
        clocked.advance(seconds=LEASE - 1)
        hand.beat()
        assert clocked.tick().launches == []


@pytest.mark.parametrize("jump", JUMPS)
def test_a_shard_of_this_host_lives_whatever_the_clock_shows(clocked, jump):
    hand = clocked.running(ADA)
    worker = this_process()
    with clocked.database.write() as connection:
        shards.acquire(connection, hand.row.id, 2, worker, clocked.now, None)
    lease = leases.ShardLease(import_id=hand.row.id, fence=1, worker=worker.id, seconds=60, shard=2)
    Heartbeat(clocked.database, lease, clocked.clock, pulse=lambda _: Pulse(), on_end=lambda error: None).beat()
    clocked.clock.set_by = jump
    with clocked.database.read() as connection:
        found = worker_states(connection, hand.row.id, 60, clocked.now, clocked.clock.monotonic())
    assert found[2] is True


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("state", ["working", "away", "ended"])
def test_durations_are_what_they_were_whatever_the_clock_shows(clocked, state, jump):
    """20 s of work, the clock set in the middle; then 10 s without a process, and 5 s of another one."""
    hand = clocked.running(ADA)
    heart = clocked.heart(hand)
    for second in range(20):
        clocked.advance(seconds=1)
        if second == 10:
            clocked.clock.set_by = jump
        heart.beat()
    seconds = 20.0
    if state != "working":
        hand.leave()
        clocked.advance(seconds=10)
        seconds += 10
    if state == "ended":
        hand = clocked.begin(hand.row.id, BOB)
        heart = clocked.heart(hand)
        clocked.advance(seconds=5)
        heart.beat()
        hand.discover()
        hand.complete()
        seconds += 5
    figures = clocked.view(hand.row.id).figures
    assert figures.duration_seconds == pytest.approx(seconds, abs=0.1)
    if state != "ended":  # then what was away is known when the worker has read the counters
        assert figures.away_seconds == pytest.approx(0 if state == "working" else 10, abs=0.1)
    values = as_json(clocked.view(hand.row.id))
    assert {name: value for name, value in values.items() if name.endswith("_seconds") and value and value < 0} == {}
    clocked.clock.set_by = -jump
    if state == "ended":
        assert clocked.view(hand.row.id).figures == figures


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_was_set_while_no_process_worked_leaves_no_figure_below_zero(clocked, jump):
    hand = clocked.running(ADA)
    heart = clocked.heart(hand)
    clocked.advance(seconds=20)
    heart.beat()
    hand.leave()
    clocked.clock.set_by = jump
    for view in (clocked.view(hand.row.id), clocked.view(clocked.begin(hand.row.id, BOB).row.id)):
        figures = view.figures
        assert min(figures.duration_seconds, figures.active_seconds, figures.away_seconds) >= 0
        assert figures.active_seconds == pytest.approx(20, abs=0.1), "only the time away comes from the wall clock"


def test_an_import_of_an_older_version_has_no_figure_below_zero(clocked):
    hand = clocked.running(ADA)
    clocked.clock.set_by = timedelta(hours=-1)
    hand.discover()
    hand.end(COMPLETED)
    row = clocked.get(hand.row.id)
    assert (row.elapsed_seconds, row.ended_at < row.started_at) == (None, True)
    assert clocked.view(hand.row.id).figures.duration_seconds == 0


def test_an_import_that_finalize_ends_has_taken_until_then(clocked):
    hand = clocked.running(ADA)
    heart = clocked.heart(hand)
    clocked.advance(seconds=20)
    hand.discover()
    heart.beat()
    clocked.advance(seconds=100)
    assert finalize.finalize(clocked.installation, hand.row.id).ended
    figures = clocked.view(hand.row.id).figures
    assert (figures.duration_seconds, figures.away_seconds) == (pytest.approx(120), pytest.approx(100))


def test_the_servers_clock_counts_on_postgres_whatever_this_host_shows(simulation, monkeypatch):
    database = simulation.database
    if database.is_sqlite:
        assert type(clock_of(database)) is SystemClock, "one host, and its own clock"
        return
    fresh = Database(database.url.render_as_string(hide_password=False))
    clock = ServerClock(fresh)
    with fresh.read():
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5), "both are of this machine"
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    before = clock.now()
    with fresh.read():
        assert timedelta(0) <= clock.now() - before < timedelta(seconds=60)
    assert abs(fresh.server_time.ahead_seconds) < 5, "it was asked a moment ago"
    fresh.close()


def test_a_host_whose_clock_is_wrong_is_in_the_history_once(simulation):
    hand = simulation.begin(simulation.slot(simulation.now), ADA)
    heart = Heartbeat(
        simulation.database, hand.lease, simulation.clock, pulse=lambda _: Pulse(), on_end=lambda error: None
    )
    server_time = simulation.database.server_time
    if server_time is not None:
        with simulation.database.read():
            server_time.ahead_seconds = 300.0
    for _ in range(3):
        heart.beat()
    skews = [sentence for action, sentence in simulation.event_sentences(hand.row.id) if action == "clock_skew"]
    expected = f"The clock of {machine()} is 300 s ahead of the database's, whose time counts. Synchronize both by NTP."
    assert skews == ([] if server_time is None else [expected])
    if server_time is not None:
        server_time.ahead_seconds = 0.0


@pytest.mark.parametrize("jump", JUMPS)
def test_a_run_begins_whatever_the_clock_showed_when_it_was_asked_for(clocked, jump):
    clocked.clock.set_by = jump
    requests.request_import(clocked.installation, clocked.source, requests.RequestKind.NEW, by="Ada")
    [launch] = clocked.tick().launches
    clocked.clock.set_by = timedelta(0)
    row = start_or_take_over(clocked.database, clocked.source, launch.import_id, ADA, clocked.clock, None)
    assert (row.status, clocked.call(imports.running, "items").id) == (RUNNING, row.id)
