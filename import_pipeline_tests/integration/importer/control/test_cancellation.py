"""Cancellations on real rows: a scheduled import ends at once, a running one at its worker's next heartbeat."""

import pytest

from import_pipeline.errors import ImportCancelled
from import_pipeline.importer.control import cancellation
from import_pipeline.importer.execution.heartbeat import Heartbeat
from import_pipeline.importer.lifecycle.state import RunState
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline_tests.support.lifecycle import CANCELLED, TEN, at
from import_pipeline_tests.support.operator_requests import WHO, assert_recorded, launched


def test_a_scheduled_import_is_cancelled_at_once_and_its_slot_stays_empty(simulation):
    simulation.tick()
    [row] = simulation.all()
    sentence = cancellation.cancel(simulation.installation, row.id, **WHO).sentence
    assert sentence == f"Import {row.id} was scheduled and is cancelled."
    cancelled = simulation.get(row.id)
    assert (cancelled.status, cancelled.cancelled_at, cancelled.ended_at) == (CANCELLED, TEN, TEN)
    assert cancelled.failure_reason == "cancelled by Ada"
    assert_recorded(simulation, wish="cancel", import_id=row.id, handled_at=TEN, outcome=sentence)
    assert simulation.actions(row.id) == ["cancel_requested"]
    simulation.tick()
    assert [row.slot_at for row in simulation.all()] == [at(12), at(15)]
    again = cancellation.cancel(simulation.installation, row.id, by="Bob")
    assert (again.already, again.sentence) == (True, f"Import {row.id} is already cancelled; nothing changed.")
    assert (len(simulation.requests()), simulation.actions(row.id)) == (1, ["cancel_requested"])


def test_a_running_import_ends_as_cancelled_with_and_without_a_worker(simulation):
    simulation.slot(at(9))
    hand = simulation.launch(run_id="run")
    hand.discover("1", "2")
    hand.succeed(hand.claim(1))
    assert cancellation.cancel(simulation.installation, hand.row.id, **WHO).sentence.endswith(
        "Imported items are kept."
    )
    heartbeat = Heartbeat(
        simulation.database, hand.lease, simulation.clock, pulse=lambda _: Pulse(), on_end=lambda _: None
    )
    again = cancellation.cancel(simulation.installation, hand.row.id, by="Bob")
    assert again.already
    assert again.sentence.startswith(f"Import {hand.row.id} is being cancelled already, since 2030-06-01 10:00:00 UTC")
    assert (len(simulation.requests()), simulation.actions(hand.row.id).count("cancel_requested")) == (1, 1)
    with pytest.raises(ImportCancelled, match="cancelled by Ada"):
        heartbeat.beat()
    result = simulation.tick(run_state_of=lambda run_id: RunState.GONE)
    assert (launched(result), result.dead_run_ids) == ([], ["run"])
    row = simulation.get(hand.row.id)
    assert (row.status, row.items_imported_count) == (CANCELLED, 1)
    assert simulation.item_counts(row.id) == {"completed": 1, "pending": 1}
    assert launched(simulation.tick(run_state_of=lambda run_id: RunState.GONE)) == [], "it is not resumed"


def test_a_cancelled_import_without_a_worker_is_ended_by_the_sensor_and_its_answer_says_so(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover("1")
    hand.leave()
    assert cancellation.cancel(simulation.installation, hand.row.id, **WHO).sentence == (
        f"Import {hand.row.id} has no worker; the sensor, or `start-scheduled items`, ends it. Imported items are kept."
    )
    simulation.tick()
    assert simulation.get(hand.row.id).status is CANCELLED
