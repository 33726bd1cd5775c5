"""The rate-limit store answers the sensor, not the workers: their REDIS_URL is wrong, or a network is cut."""

from dataclasses import replace
from functools import partial

import pytest

from import_pipeline.errors import LeaseLost, LimiterUnavailable
from import_pipeline.importer.control.shard_supervisor import supervise_shards
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.execution.shard_worker import execute_shard
from import_pipeline.importer.monitoring.stalled import stalled_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.settings import load_settings
from import_pipeline.tracking import events, heartbeats, queries, shards, transitions
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.workers import this_process
from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.lifecycle import ADA, BOB, FAILED, RUNNING, SimulatedInstallation, items_source

pytestmark = pytest.mark.by_turns  # both kinds run the statements of these imports, each in some of the cases

IDS = [str(number) for number in range(1, 101)]


class Divided:
    """An installation whose sensor and workers have different settings."""

    def __init__(self, simulation, home):
        home.mkdir()
        self.simulation, self._home = simulation, home
        self._nowhere = f"redis://127.0.0.1:{free_port()}/0"
        self.worker = self._settings(answers=False)
        self.sensor(answers=True)

    def _settings(self, *, answers):
        store = {} if answers else {"REDIS_URL": self._nowhere}
        return load_settings({"IMPORT_PIPELINE_HOME": str(self._home), **store}, self._home)

    def sensor(self, *, answers):
        """Let the store answer the sensor from now on, or not."""
        self.simulation.installation = replace(self.simulation.installation, settings=self._settings(answers=answers))

    def tick(self):
        """Return the imports that the sensor launches five seconds later."""
        self.simulation.advance(seconds=5)
        return [launch.import_id for launch in self.simulation.tick().launches]

    def _run(self, worker):
        simulation = self.simulation
        connect = partial(open_api, simulation.source, self.worker, simulation.clock)
        return ImportRun(installation=simulation.installation, source=simulation.source, connect=connect, worker=worker)

    def leave(self, import_id):
        """A worker starts or resumes the import, gets no answer, and releases it."""
        with pytest.raises(LimiterUnavailable):
            execute_import(self._run(this_process()), import_id)

    def leave_shard(self, import_id):
        """A shard joins the import, gets no answer, and releases its place."""
        with pytest.raises(LimiterUnavailable):
            execute_shard(self._run(BOB), import_id, 2)

    def messages(self, import_id, action=events.PAUSED):
        """Return the messages of the import's events with that action."""
        with self.simulation.database.read() as connection:
            return [message for _, acted, message in events.latest(connection, import_id) if acted == action]


@pytest.fixture
def divided(simulation, home):
    """The store answers the sensor and no worker."""
    return Divided(simulation, home)


def test_an_import_whose_workers_the_store_never_answers_fails_after_three_counted_resumes(divided, simulation):
    number = simulation.slot(simulation.now)
    divided.leave(number)
    counted = []
    for _ in range(4):
        assert divided.tick() == [number]
        divided.leave(number)
        counted.append(simulation.get(number).resumes)
    assert counted == [0, 1, 2, 3], "the first one resumes after an orderly release"
    assert ["sensor" in said for said in divided.messages(number)] == [False, True, True, True, True]
    assert divided.messages(number)[-1].endswith("Yet it answered the sensor, which requested this run.")
    divided.sensor(answers=False)
    assert divided.tick() == [], "it waits while the store is away for all"
    with simulation.database.read() as connection:
        snapshot = queries.snapshot(connection, number)
        next_step = stalled_import(connection, snapshot, simulation.source, simulation.now).next_step
    assert next_step == (
        f"Import {number} waits: the rate-limit store does not answer. If it answers Dagster's sensor, the "
        "sensor ends the import as failed"
    )
    divided.sensor(answers=True)
    assert divided.tick() == []
    row = simulation.get(number)
    assert row.status is FAILED
    assert row.failure_reason == (
        f"Import {number} was resumed 3 times without progress; at last it broke off: no answer from the rate-limit "
        "store, which answers the sensor; check REDIS_URL and the network where the worker runs."
    )


def test_an_outage_for_all_counts_as_no_resume_however_long_it_is_and_whichever_worker_tries(divided, simulation):
    number = simulation.slot(simulation.now)
    divided.leave(number)
    divided.sensor(answers=False)
    for _ in range(4):
        simulation.advance(hours=1)
        assert divided.tick() == []
        divided.leave(number)  # a person does not wait
    assert not any("sensor" in said for said in divided.messages(number))
    divided.sensor(answers=True)
    assert divided.tick() == [number]
    row = simulation.get(number)
    assert (row.status, row.resumes) == (RUNNING, 0)


def test_progress_makes_up_for_all_resumes_that_sent_nothing(divided, simulation):
    number = simulation.slot(simulation.now)
    divided.leave(number)
    for item in "12":
        for _ in range(3):
            assert divided.tick() == [number]
            divided.leave(number)
        assert divided.tick() == [number]
        hand = simulation.begin(number)
        hand.discover(item)
        simulation.call(heartbeats.beat, hand.lease, simulation.now, heartbeats.Pulse(sent=CounterDelta(requests=3)))
        hand.leave()
        divided.leave(number)
    assert simulation.get(number).status is RUNNING


def test_a_worker_whose_import_was_taken_over_meanwhile_records_no_pause(divided, simulation):
    number = simulation.slot(simulation.now)
    run = divided._run(this_process())
    run.on_api = lambda api: simulation.call(transitions.take_over, simulation.get(number), ADA, simulation.now, None)
    with pytest.raises(LeaseLost):
        execute_import(run, number)
    assert divided.messages(number) == []
    with simulation.database.read() as connection:
        assert events.waits_for_store(connection, number) is None


@pytest.fixture
def shared(simulation, home):
    """The store answers the sensor and no worker; two runs share an import, and one of them works.

    Its lease outlasts each wait of a shard for the store: it continues meanwhile, so no shard may take the lead.
    """
    divided = Divided(SimulatedInstallation(simulation.database, source=items_source(shards=2, lease=86_400)), home)
    hand = divided.simulation.begin(divided.simulation.slot(simulation.now))
    hand.discover(*IDS)
    return divided, hand


def shards_launched(divided, hand):
    hand.beat()
    return [
        launch.number
        for launch in supervise_shards(divided.simulation.installation, divided.simulation.source).launches
    ]


def test_a_shard_that_the_store_does_not_answer_while_the_lead_works_is_given_up_after_three_ways_back(shared):
    divided, hand = shared
    for _ in range(4):
        assert shards_launched(divided, hand) == [2]
        divided.leave_shard(hand.row.id)
        divided.simulation.advance(seconds=61)
    assert shards_launched(divided, hand) == []
    stopped = divided.messages(hand.row.id, "shard_stopped")
    assert len(stopped) == 4
    assert stopped[0].startswith("Shard 2 stopped: the rate-limit store does not answer it. The Redis rate-limit store")
    assert stopped[0].endswith("Check REDIS_URL and the server. The other workers continue.")


def test_a_shard_that_leaves_while_the_lead_waits_for_the_store_as_well_is_launched_again_and_again(shared):
    divided, hand = shared
    simulation = divided.simulation
    for _ in range(5):
        assert shards_launched(divided, hand) == [2]
        simulation.call(
            events.note, hand.row.id, simulation.now, events.WAITS, "Away.", reason="it is away", until=None
        )
        divided.leave_shard(hand.row.id)
        assert shards_launched(divided, hand) == []
        simulation.call(events.note, hand.row.id, simulation.now, "import_goes_on", "It is back.")
    with simulation.database.read() as connection:
        [shard] = shards.of_import(connection, hand.row.id)
    assert (shard.launches, divided.messages(hand.row.id, "shard_stopped")) == (0, [])
