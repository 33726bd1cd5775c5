"""Requests of people on real rows: fulfilled once, recorded with who, when and why."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from import_pipeline.errors import ImportCancelled, ImportNotFound, InvalidTransition, UsageError
from import_pipeline.importer.control import cancellation, deletion, retries
from import_pipeline.importer.control.requests import request_import
from import_pipeline.importer.control.rescheduling import parse_slot
from import_pipeline.importer.execution.heartbeat import Heartbeat
from import_pipeline.importer.lifecycle.state import RunState
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking import requests, scheduling
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.requests import NewRequest, RequestKind
from import_pipeline_tests.support.lifecycle import BOB, CANCELLED, COMPLETED, FAILED, RUNNING, TEN, at

WHO = {"by": "Ada", "reason": "the boss asked"}


def ask(simulation, kind, **more):
    return request_import(simulation.installation, simulation.source, kind, **{**WHO, **more}).id


def launched(result):
    return [launch.import_id for launch in result.launches]


def assert_recorded(simulation, **expected):
    """Assert that the only request has these values, besides those that all requests of this file share."""
    [request] = simulation.requests()
    common = {"source": "items", "requested_by": "Ada", "reason": "the boss asked", "requested_at": TEN, "fresh": False}
    shown = {name: request[name] for name in {*common, *expected}}
    assert shown == common | expected


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
    """As an older version writes them: without the slot, or both before either is seen."""
    simulation.tick()
    for who in ("Ada", "Bob"):
        new = NewRequest(source="items", kind=RequestKind.RESCHEDULE, requested_by=who, slot_at=at(12))
        simulation.call(requests.record, new, TEN)
    result = simulation.tick()
    [number] = launched(result)
    of_slot = f"Import {number} of the slot of 2030-06-01 12:00 UTC"
    assert result.sentences[:2] == [
        f"Import {number} was requested by Ada.",
        f"{of_slot} was moved to now already; nothing was moved by Bob.",
    ]
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
        "that one is carried out"
    )


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


@pytest.mark.parametrize("kind", [RequestKind.CANCEL, RequestKind.RETRY, RequestKind.DELETE])
def test_a_kind_of_request_that_names_an_import_is_refused(simulation, kind):
    with pytest.raises(UsageError, match=f"^{kind}: expected new or reschedule"):
        ask(simulation, kind)


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


def test_a_running_import_is_told_to_end_and_ends_without_a_worker_too(simulation):
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


def test_nobody_is_promised_two_seconds_by_an_import_without_a_worker(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover("1")
    hand.leave()
    assert cancellation.cancel(simulation.installation, hand.row.id, **WHO).sentence == (
        f"Import {hand.row.id} has no worker; the sensor, or `start-scheduled items`, ends it. Imported items are kept."
    )
    simulation.tick()
    assert simulation.get(hand.row.id).status is CANCELLED


def broken_import(simulation):
    """One item of each outcome: done, failed for good, failed with a next try, never tried."""
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.discover("done", "bad", "waiting", "untried")
    hand.succeed(hand.claim(1))
    hand.fail(hand.claim(1))
    hand.fail(hand.claim(1), again=timedelta(minutes=1))
    return hand


def test_a_retry_takes_what_failed_or_was_not_done_and_nothing_else(simulation):
    broken = broken_import(simulation)
    broken.end(FAILED)
    made = retries.retry(simulation.installation, broken.row.id, **WHO).row
    assert (made.kind, made.trigger, made.status) == (ImportKind.SELECTION, "retry", ImportStatus.SCHEDULED)
    assert (made.retry_of, made.slot_at, made.scheduled_at, made.requested_by) == (broken.row.id, None, TEN, "Ada")
    sentence = f"Import {made.id} retries 3 items of import {broken.row.id}."
    what = {"wish": "retry", "import_id": broken.row.id, "handled_at": TEN, "result_import_id": made.id}
    assert_recorded(simulation, **what, outcome=sentence)
    assert simulation.event_sentences(made.id) == [
        ("import_requested", f"{sentence} Requested by Ada: the boss asked.")
    ]
    with pytest.raises(UsageError, match=f"^import {made.id} retries items of import {broken.row.id}: wait"):
        deletion.delete(simulation.installation, broken.row.id)
    again = retries.retry(simulation.installation, broken.row.id, by="Bob")
    already = f"Import {made.id} already retries what import {broken.row.id} left; nothing was added."
    assert (again.row.id, again.already, len(simulation.requests())) == (made.id, already, 1)
    hand = simulation.launch(BOB)
    assert hand.row.id == made.id
    hand.select()
    taken = hand.claim()
    assert {(each.external_id, each.failure_count, each.version) for each in taken} == {
        ("bad", 0, "1"),
        ("waiting", 0, "1"),
        ("untried", 0, "1"),
    }
    hand.succeed(taken)
    hand.complete()
    row = simulation.get(made.id)
    assert (row.status, row.items_count, row.items_imported_count) == (COMPLETED, 3, 3)


def test_what_was_imported_since_is_not_retried_again(simulation):
    broken = broken_import(simulation)
    broken.end(FAILED)
    retries.retry(simulation.installation, broken.row.id)
    hand = simulation.launch(BOB)
    hand.select()
    taken = {each.external_id: each for each in hand.claim()}
    hand.succeed([taken["waiting"], taken["untried"]])
    hand.fail([taken["bad"]])
    hand.complete()
    again = retries.retry(simulation.installation, broken.row.id).row
    assert simulation.requests()[-1]["outcome"] == f"Import {again.id} retries 1 item of import {broken.row.id}."
    hand = simulation.launch(BOB)
    hand.select()
    taken = hand.claim()
    assert [each.external_id for each in taken] == ["bad"]
    hand.succeed(taken)
    hand.complete()
    for number in (broken.row.id, hand.row.retry_of, hand.row.id - 1):
        with pytest.raises(UsageError, match=f"^import {number} has nothing to retry: no item is failed or unfin"):
            retries.retry(simulation.installation, number)


def all_done(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.import_all("1")
    return hand.row.id


def test_what_a_slot_s_import_left_is_retried_although_one_of_a_higher_number_ran_before_it(simulation):
    waiting = simulation.slot(at(12))
    request_import(simulation.installation, simulation.source, RequestKind.NEW)
    simulation.launch().import_all("1", "2")
    simulation.advance(hours=2)
    late = simulation.launch()
    assert late.row.id == waiting
    late.discover("1", "2", version="2")
    late.fail(late.claim(1))
    late.succeed(late.claim(1))
    late.complete()
    made = retries.retry(simulation.installation, late.row.id).row
    assert simulation.requests()[-1]["outcome"] == f"Import {made.id} retries 1 item of import {late.row.id}."


REFUSED = {
    "an import that runs": (
        lambda simulation: broken_import(simulation).row.id,
        "is running: expected one that has ended",
    ),
    "one that left nothing": (all_done, "has nothing to retry: no item is failed or unfinished, except"),
}


@pytest.mark.parametrize(("make", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_retry_of_nothing_is_refused(simulation, make, sentence):
    number = make(simulation)
    with pytest.raises(UsageError, match=f"^import {number} {sentence}"):
        retries.retry(simulation.installation, number)
    assert simulation.requests() == []


@pytest.mark.parametrize("import_id", [424242, 10**20])
@pytest.mark.parametrize("action", [cancellation.cancel, retries.retry, deletion.delete])
def test_an_import_that_is_not_there_is_said_to_be_missing(simulation, action, import_id):
    with pytest.raises(ImportNotFound, match=f"import {import_id}: no import has this id"):
        action(simulation.installation, import_id)


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


def test_what_cannot_be_done_is_known_before_anybody_is_asked(simulation):
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
