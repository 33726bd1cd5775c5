"""Deletions on real rows: an ended import is deleted, and the items that it imported are kept."""

import pytest
from sqlalchemy import func, select

from import_pipeline.errors import ImportNotFound, InvalidTransition, UsageError
from import_pipeline.importer.control import cancellation, deletion
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking import scheduling
from import_pipeline_tests.support.lifecycle import CANCELLED, COMPLETED, FAILED, RUNNING, at
from import_pipeline_tests.support.operator_requests import WHO, broken_import


@pytest.mark.parametrize("ended", [COMPLETED, FAILED, CANCELLED])
def test_an_ended_import_is_deleted_and_what_it_imported_stays(simulation, ended):
    hand = broken_import(simulation)
    hand.succeed(hand.claim())
    if ended is COMPLETED:
        simulation.advance(minutes=1)
        hand.succeed(hand.claim())
        hand.complete()
    else:
        hand.end(ended)
    deletion.delete(simulation.installation, hand.row.id, **WHO)
    with pytest.raises(ImportNotFound):
        simulation.get(hand.row.id)
    assert (simulation.item_counts(hand.row.id), simulation.actions(hand.row.id)) == ({}, [])
    with simulation.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(ImportedItem)) == 4
    again = deletion.delete(simulation.installation, hand.row.id, by="Bob")
    assert (again.already, again.sentence) == (True, f"Import {hand.row.id} is already deleted; nothing changed.")
    assert [each["outcome"] for each in simulation.requests()] == [f"Import {hand.row.id} is deleted."]


def test_a_refused_cancellation_or_deletion_is_known_before_the_confirmation(simulation):
    hand = broken_import(simulation)
    simulation.call(cancellation.check_cancel, simulation.get(hand.row.id), simulation.now)
    with pytest.raises(UsageError, match="is running: expected one that has ended"):
        simulation.call(deletion.check_delete, simulation.get(hand.row.id), simulation.now)
    hand.end(FAILED)
    simulation.call(deletion.check_delete, simulation.get(hand.row.id), simulation.now)
    with pytest.raises(InvalidTransition):
        simulation.call(cancellation.check_cancel, simulation.get(hand.row.id), simulation.now)


def test_an_import_that_has_not_ended_is_not_deleted(simulation):
    scheduled = simulation.slot(at(12))
    running = broken_import(simulation).row.id
    for number, status in ((scheduled, "scheduled"), (running, RUNNING)):
        with pytest.raises(UsageError, match=f"^import {number} is {status}: expected one that has ended"):
            deletion.delete(simulation.installation, number)
        assert simulation.get(number).status == status


def test_an_import_whose_slot_is_yet_to_come_is_kept_since_the_slot_would_be_filled_again(simulation):
    number = simulation.slot(at(12))
    simulation.call(scheduling.cancel_scheduled, number, simulation.now, "not today", by_person=True)
    with pytest.raises(UsageError, match=f"^import {number} marks the slot of 2030-06-01 12:00 UTC as spent"):
        deletion.delete(simulation.installation, number)
    simulation.tick()
    assert [row.slot_at for row in simulation.all()] == [at(12), at(15)]
    simulation.advance(hours=2)
    deletion.delete(simulation.installation, number)
    simulation.tick()
    assert [row.slot_at for row in simulation.all()] == [at(15)]
