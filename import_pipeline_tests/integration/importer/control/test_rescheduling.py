"""Reschedules on real rows: one slot is spent for each, however many people and processes request it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from import_pipeline.errors import UsageError
from import_pipeline.importer.control import cancellation
from import_pipeline.importer.control.requests import request_import
from import_pipeline.importer.control.rescheduling import parse_slot
from import_pipeline.tracking import requests
from import_pipeline.tracking.requests import NewRequest, RequestKind
from import_pipeline_tests.support.lifecycle import TEN, at
from import_pipeline_tests.support.operator_requests import ask, assert_recorded, launched


@pytest.mark.parametrize("schedule_is_on", [True, False])
def test_reschedule_spends_the_next_slot_and_the_one_after_it_is_filled(simulation, schedule_is_on):
    on = {"schedule_is_on": schedule_is_on}
    simulation.tick(**on)
    ask(simulation, RequestKind.RESCHEDULE)
    [number] = launched(simulation.tick(**on))
    row = simulation.get(number)
    assert (row.trigger, row.slot_at, row.scheduled_at, row.requested_by) == ("reschedule", at(12), TEN, "Ada")
    outcome = f"Import {number} was requested by Ada."
    assert_recorded(simulation, wish="reschedule", handled_at=TEN, outcome=outcome, result_import_id=number)
    moved = "Moved from 2030-06-01 12:00 UTC to now by Ada: the boss asked."
    assert simulation.event_sentences(number)[0] == ("import_rescheduled", moved)
    assert simulation.actions(number) == ["import_rescheduled", "run_requested"]
    simulation.begin(number).import_all("1")
    simulation.advance(hours=2)
    at_its_slot = simulation.tick(**on)
    assert at_its_slot.launches == [], "its slot is spent"
    slots = [row.slot_at for row in simulation.all()]
    assert slots == ([at(12), at(15)] if schedule_is_on else [at(12)])
    simulation.advance(hours=3)
    assert len(simulation.tick(**on).launches) == schedule_is_on


def test_two_people_who_reschedule_within_one_tick_mean_the_same_slot(simulation):
    simulation.tick()
    first = request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="Ada")
    second = request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="Bob")
    assert (first.already, first.slot_at, second.id) == (None, at(12), first.id)
    assert second.already == f"Request {first.id} of Ada requests the same; nothing was added."
    [number] = launched(simulation.tick())
    third = request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="Cy")
    of_slot = f"Import {number} of the slot of 2030-06-01 12:00 UTC"
    assert third.already == f"{of_slot} was moved to now already; nothing was added."
    assert simulation.call(requests.outcome_of, third.id).has_changed_nothing
    simulation.begin(number).import_all("1")
    simulation.tick()
    assert [(row.status.value, row.slot_at) for row in simulation.all()] == [
        ("completed", at(12)),
        ("scheduled", at(15)),
    ]
    assert [(each["requested_by"], each["result_import_id"]) for each in simulation.requests()] == [
        ("Ada", number),
        ("Cy", number),
    ]


def test_requests_written_by_two_processes_at_once_move_one_slot(simulation):
    """An older version, or two processes at the same moment, may record both requests."""
    simulation.tick()
    ids = []
    for who in ("Ada", "Bob"):
        new = NewRequest(source="items", kind=RequestKind.RESCHEDULE, requested_by=who, slot_at=at(12))
        ids.append(simulation.call(requests.record, new, TEN))
    result = simulation.tick()
    [number] = launched(result)
    of_slot = f"Import {number} of the slot of 2030-06-01 12:00 UTC"
    assert result.sentences[:2] == [
        f"Import {number} was requested by Ada.",
        f"{of_slot} was moved to now already; nothing was moved by Bob.",
    ]
    outcomes = [simulation.call(requests.outcome_of, each) for each in ids]
    assert [(each.import_id, each.has_changed_nothing) for each in outcomes] == [(number, False), (number, True)]
    assert [row.slot_at for row in simulation.all()] == [at(12), at(15)]


def test_a_reschedule_whose_slot_has_begun_by_itself_spends_no_other(simulation):
    simulation.tick()
    simulation.advance(hours=1, minutes=59)
    ask(simulation, RequestKind.RESCHEDULE)
    simulation.advance(minutes=2)
    [number] = launched(simulation.tick())
    assert (simulation.get(number).slot_at, simulation.all()[-1].slot_at) == (at(12), at(15))


def test_a_reschedule_whose_slot_was_cancelled_by_another_person_says_so(simulation):
    simulation.tick()
    ask(simulation, RequestKind.RESCHEDULE)
    [row] = simulation.all()
    cancellation.cancel(simulation.installation, row.id, by="Bob")
    result = simulation.tick()
    assert result.launches == []
    of_slot = f"Import {row.id} of the slot of 2030-06-01 12:00 UTC"
    assert result.sentences[0] == f"{of_slot} is cancelled already; nothing was moved by Ada."


def test_a_reschedule_that_waited_for_hours_starts_one_import(simulation):
    simulation.tick()
    ask(simulation, RequestKind.RESCHEDULE)
    simulation.advance(hours=6)
    assert len(launched(simulation.tick())) == 1
    assert simulation.all()[-1].slot_at == at(18)


def test_many_who_reschedule_at_one_moment_make_one_request(simulation):
    simulation.tick()
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(
                lambda who: request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by=who),
                "abcdef",
            )
        )
    assert sum(each.already is None for each in answers) == 1
    assert len(simulation.requests()) == 1


def test_a_second_reschedule_while_the_moved_import_runs_means_that_one_unless_it_names_a_slot(simulation):
    simulation.tick()
    ask(simulation, RequestKind.RESCHEDULE)
    hand = simulation.launch()
    second = request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="Bob")
    of_slot = f"Import {hand.row.id} of the slot of 2030-06-01 12:00 UTC"
    assert second.already == (
        f"{of_slot} was moved to now already; nothing was added. "
        "`import-pipeline reschedule items --slot` moves another one."
    )
    hand.import_all("1")
    third = request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="Cy", slot_at=at(12))
    assert third.already == f"{of_slot} is completed already; nothing was added."
    simulation.tick()
    assert [row.slot_at for row in simulation.all()] == [at(12), at(15)]
    other = request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="Cy", slot_at=at(15))
    assert (other.already, other.slot_at) == (None, at(15))
    [number] = launched(simulation.tick())
    assert simulation.get(number).slot_at == at(15)


def test_two_people_who_name_two_slots_move_both(simulation):
    simulation.tick()
    asked = [
        request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, by="Ada", slot_at=at(hour))
        for hour in (15, 12, 15)
    ]
    assert [(each.already is None, each.slot_at) for each in asked] == [
        (True, at(15)),
        (True, at(12)),
        (False, at(15)),
    ]
    simulation.tick()
    moved = [row.slot_at for row in simulation.all() if row.trigger == "reschedule"]
    assert sorted(moved) == [at(12), at(15)]


@pytest.mark.parametrize("slot_at", [at(13), at(9)])
def test_what_is_no_slot_to_come_is_refused(simulation, slot_at):
    with pytest.raises(UsageError, match=r"^items has no slot to come at 2030-06-01"):
        request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE, slot_at=slot_at)
    assert simulation.requests() == []


@pytest.mark.parametrize("text", ["2030-06-01T12:00", "2030-06-01T12:00+00:00", "2030-06-01T14:00+02:00"])
def test_a_slot_is_read_in_utc_unless_it_says_otherwise(text):
    assert parse_slot(text) == at(12)


@pytest.mark.parametrize("text", ["noon", "0001-01-01T00:00+14:00", "12:00"])
def test_a_slot_that_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError, match=r"^expected a slot such as"):
        parse_slot(text)


def test_a_second_reschedule_spends_the_slot_after_it_once_the_first_one_has_ended(simulation):
    for _ in range(2):
        ask(simulation, RequestKind.RESCHEDULE)
        for number in launched(simulation.tick()):
            simulation.begin(number).import_all("1")
    simulation.tick()
    assert [(row.trigger.value, row.slot_at) for row in simulation.all()] == [
        ("reschedule", at(12)),
        ("reschedule", at(15)),
        ("schedule", at(18)),
    ]
