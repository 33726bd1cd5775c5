"""Requests for new imports on real rows: fulfilled once, recorded with person, time and reason."""

import pytest

from import_pipeline.errors import ImportNotFound, UsageError
from import_pipeline.importer.control import cancellation, deletion, retries
from import_pipeline.importer.control.requests import request_import
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.lifecycle import COMPLETED, TEN, at
from import_pipeline_tests.support.operator_requests import ask, assert_recorded, launched


@pytest.mark.parametrize("fresh", [False, True])
def test_new_is_an_extra_import_and_leaves_the_schedule_as_it_is(simulation, fresh):
    simulation.tick()
    before = simulation.overview()
    request_id = ask(simulation, RequestKind.NEW, fresh=fresh)
    assert_recorded(
        simulation, id=request_id, wish="new", fresh=fresh, handled_at=None, outcome=None, result_import_id=None
    )
    simulation.advance(seconds=5)
    result = simulation.tick()
    [number] = launched(result)
    assert simulation.overview() == before | {number: ("request", "scheduled", None)}
    assert result.sentences == [f"Import {number} was requested by Ada.", f"Import {number} is next."]
    row = simulation.get(number)
    assert (row.scheduled_at, row.created_at, row.requested_by) == (TEN, simulation.now, "Ada")
    assert row.metadata == ({"fresh": True} if fresh else {})
    outcome = f"Import {number} was requested by Ada."
    assert_recorded(simulation, fresh=fresh, handled_at=simulation.now, outcome=outcome, result_import_id=number)
    assert simulation.event_sentences(number) == [
        ("import_requested", "Requested by Ada: the boss asked."),
        ("run_requested", f"Import {number} is next."),
    ]
    assert launched(simulation.tick()) == []


def test_requests_go_before_slots_the_oldest_first_and_cancel_none(simulation):
    slot = simulation.slot(at(9))
    for who in ("Ada", "Bob", "Cy"):
        ask(simulation, RequestKind.NEW, by=who)
        simulation.advance(seconds=1)
    seen = []
    for _ in range(4):
        hand = simulation.launch()
        seen.append((hand.row.requested_by, hand.row.slot_at))
        hand.import_all("1")
        simulation.advance(seconds=1)
    assert seen == [("Ada", None), ("Bob", None), ("Cy", None), (None, at(9))]
    assert [status for _, status, slot_at in simulation.overview().values() if slot_at != at(12)] == ["completed"] * 4
    assert simulation.get(slot).status is COMPLETED


def test_a_stopped_schedule_holds_no_request_back(simulation):
    simulation.slot(at(9))
    ask(simulation, RequestKind.NEW)
    [number] = launched(simulation.tick(schedule_is_on=False))
    assert simulation.get(number).slot_at is None


def test_two_presses_of_one_person_within_a_tick_are_one_import_and_those_of_two_people_are_two(simulation):
    asked = [
        request_import(simulation.installation, simulation.source, RequestKind.NEW, by=who)
        for who in ("Ada", "Ada", "Bob")
    ]
    assert [each.already is not None for each in asked] == [False, True, False]
    other = request_import(simulation.installation, simulation.source, RequestKind.NEW, fresh=True, by="Ada")
    assert other.already is None, "it is not the same"
    simulation.tick()
    assert [row.requested_by for row in simulation.all() if row.slot_at is None] == ["Ada", "Bob", "Ada"]
    assert request_import(simulation.installation, simulation.source, RequestKind.NEW, by="Ada").already is None, (
        "the request before it is fulfilled"
    )


@pytest.mark.parametrize("kind", [RequestKind.CANCEL, RequestKind.RETRY, RequestKind.DELETE])
def test_a_kind_of_request_that_names_an_import_is_refused(simulation, kind):
    with pytest.raises(UsageError, match=f"^{kind}: expected new or reschedule"):
        ask(simulation, kind)


@pytest.mark.parametrize("import_id", [424242, 10**20])
@pytest.mark.parametrize("action", [cancellation.cancel, retries.retry, deletion.delete])
def test_an_action_on_an_unknown_import_is_refused(simulation, action, import_id):
    with pytest.raises(ImportNotFound, match=f"import {import_id}: no import has this id"):
        action(simulation.installation, import_id)


@pytest.mark.parametrize("who", ["A\0da", "Ad\udcff", "A" * 300, "A\nda"])
def test_any_name_of_a_person_is_stored_by_every_database(simulation, who):
    """A terminal with another character set gives halves of characters, a proxy long addresses."""
    simulation.slot(at(9))
    row = simulation.launch().row
    request_import(simulation.installation, simulation.source, RequestKind.NEW, by=who, reason=who)
    cancellation.cancel(simulation.installation, row.id, by=who, reason=who)
    for stored in (simulation.get(row.id).requested_by, simulation.requests()[0]["requested_by"]):
        assert (stored[0], len(stored) <= 200, stored.isprintable()) == ("A", True, True)
