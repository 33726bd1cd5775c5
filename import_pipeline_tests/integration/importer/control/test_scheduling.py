"""A tick on real rows: slots filled, missed, changed and stopped; workers that are gone."""

from datetime import timedelta

import pytest

from import_pipeline.errors import ImportAlreadyRunning, LeaseLost
from import_pipeline.importer.control import cancellation, requests
from import_pipeline.importer.control.scheduling import Launch, is_off_now, upcoming_slots_of
from import_pipeline.importer.lifecycle.state import RunState
from import_pipeline.tracking import leases
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.lifecycle import (
    BOB,
    CANCELLED,
    COMPLETED,
    FAILED,
    RUNNING,
    TEN,
    SimulatedInstallation,
    at,
    items_source,
)


def ids_of(result):
    return [launch.import_id for launch in result.launches]


def numbered(life, *hours):
    """Scheduled imports of those slots of today, by hour."""
    return {hour: life.slot(at(hour)) for hour in hours}


def test_a_tick_makes_the_import_of_the_next_slot_once(life):
    for _ in range(3):
        result = life.tick()
        assert result.launches == []
        assert list(life.story().values()) == [("schedule", "scheduled", at(12))]
    assert result.sentences == ["Nothing is due before 2030-06-01 12:00 UTC."]
    [row] = life.all()
    assert (row.scheduled_at, row.created_at, row.items_count) == (at(12), TEN, None)


def test_a_due_import_is_launched_once_and_again_when_nothing_came_of_it(life):
    number = numbered(life, 9)[9]
    first = life.tick()
    reason = f"Import {number} is due since 2030-06-01 09:00 UTC."
    assert first.launches == [Launch(import_id=number, reason=reason)]
    assert first.sentences == ["The next slot is 2030-06-01 12:00 UTC.", reason]
    life.go_on(seconds=59)
    assert life.tick().launches == []
    life.go_on(seconds=1)
    assert life.tick().launches == first.launches
    assert life.actions(number) == ["run_requested", "run_requested"]


def test_after_a_downtime_the_latest_slot_starts_and_the_older_ones_are_cancelled_with_the_reason(life):
    number = numbered(life, 3, 6, 9)
    assert [launch.import_id for launch in life.tick().launches] == [number[9]]
    for hour in (3, 6):
        row = life.get(number[hour])
        assert (row.status, row.cancelled_at, row.ended_at, row.started_at) == (CANCELLED, TEN, TEN, None)
        assert row.failure_reason == (
            f"The slot of 2030-06-01 0{hour}:00 UTC was missed; the one of 2030-06-01 09:00 UTC takes its place."
        )
        assert life.actions(number[hour]) == ["import_cancelled"]
    assert life.get(number[9] + 1).slot_at == at(12)


def test_slots_that_a_downtime_passed_over_are_in_the_history(life):
    """Only the first of them had its import when everything went down."""
    number = numbered(life, 12)[12]
    life.go_on(hours=10)
    result = life.tick()
    [latest] = ids_of(result)
    assert [(row.id, row.status.value, row.slot_at) for row in life.all()] == [
        (number, "cancelled", at(12)),
        (number + 1, "cancelled", at(15)),
        (latest, "scheduled", at(18)),
        (latest + 1, "scheduled", at(21)),
    ]
    assert life.get(number + 1).failure_reason == (
        "The slot of 2030-06-01 15:00 UTC was missed; the one of 2030-06-01 18:00 UTC takes its place."
    )
    assert result.sentences[:2] == [f"The slot of 2030-06-01 {hour}:00 UTC was missed." for hour in (15, 18)]
    before = life.story()
    assert (life.tick().launches, life.story()) == ([], before)


def test_a_stopped_schedule_fills_no_slot_that_has_passed(life):
    numbered(life, 12)
    life.go_on(hours=10)
    before = life.story()
    life.tick(schedule_is_on=False)
    assert life.story() == before


def test_what_is_due_waits_for_the_running_import(life):
    number = numbered(life, 9, 12)
    hand = life.launch()
    life.go_on(hours=2)
    hand.beat()
    waiting = life.tick()
    assert (waiting.launches, waiting.sentences[-1]) == ([], f"Import {number[9]} is running.")
    with pytest.raises(ImportAlreadyRunning, match=f"import {number[9]} has been running since"):
        life.begin(number[12], BOB)
    hand.import_all("1", "2")
    assert [launch.import_id for launch in life.tick().launches] == [number[12]]
    assert [row.slot_at for row in life.all()] == [at(9), at(12), at(15)]


def test_the_slots_to_come_are_those_that_are_not_spent(life):
    assert life.do(upcoming_slots_of, life.source, life.now, 3) == [at(12), at(15), at(18)]
    life.tick()
    assert life.do(upcoming_slots_of, life.source, life.now, 3) == [at(12), at(15), at(18)]
    requests.request_import(life.installation, life.source, RequestKind.RESCHEDULE)
    life.tick()
    assert life.do(upcoming_slots_of, life.source, life.now, 3) == [at(15), at(18), at(21)]
    life.begin(life.all()[0].id).import_all("1")
    assert life.tick().sentences == ["Nothing is due before 2030-06-01 15:00 UTC."]
    cancellation.cancel(life.installation, life.all()[1].id)
    assert life.do(upcoming_slots_of, life.source, life.now, 2) == [at(18), at(21)]


def test_a_slot_that_was_spent_before_its_time_is_not_filled_again(life):
    number = numbered(life, 12)[12]
    life.begin(number).import_all("1")
    life.tick()
    life.go_on(hours=2)
    assert life.tick().launches == []
    assert [(row.status.value, row.slot_at) for row in life.all()] == [("completed", at(12)), ("scheduled", at(15))]


def test_changed_slots_cancel_what_was_planned_for_the_old_ones(life):
    numbers = numbered(life, 9, 12)
    changed = SimulatedInstallation(life.database, source=items_source(slots="10:30"))
    result = changed.tick()
    assert result.launches == [], "what the settings do not have does not start"
    assert result.sentences[:2] == [
        f"The schedule no longer has a slot at 2030-06-01 {h} UTC." for h in ("09:00", "12:00")
    ]
    assert {life.get(number).status for number in numbers.values()} == {CANCELLED}
    assert changed.all()[-1].slot_at == TEN + timedelta(minutes=30)


def test_a_setting_that_comes_back_brings_the_imports_that_it_had_cancelled_back(life):
    """A time zone that is changed and changed back; two processes with different settings."""
    number = numbered(life, 12)[12]
    other = SimulatedInstallation(life.database, source=items_source(time_zone="Asia/Kolkata"))
    for _ in range(3):
        other.tick()
        assert life.get(number).status is CANCELLED
        life.tick()
        row = life.get(number)
        assert (row.status.value, row.scheduled_at, row.failure_reason) == ("scheduled", at(12), None)
        assert (row.cancelled_at, row.ended_at) == (None, None)
    assert life.told(number)[1] == (
        "slot_reinstated",
        "Scheduled again: the slot of 2030-06-01 12:00 UTC is still to come and is not spent.",
    )
    life.go_on(hours=2)
    assert number in ids_of(life.tick())


def test_a_slot_that_a_person_cancelled_stays_cancelled_whatever_becomes_of_the_settings(life):
    number = numbered(life, 12)[12]
    cancellation.cancel(life.installation, number, by="Ada")
    SimulatedInstallation(life.database, source=items_source(slots="10:30")).tick()
    life.tick()
    assert life.get(number).status is CANCELLED
    assert life.do(upcoming_slots_of, life.source, life.now, 1) == [at(15)]


def test_a_clock_that_was_ahead_for_two_looks_loses_no_slot(life):
    noon = numbered(life, 12)[12]
    life.go_on(hours=5, minutes=10)
    three = life.launch()
    three.import_all("1")
    assert (three.row.slot_at, life.get(noon).status) == (at(15), CANCELLED), "noon was missed, as it seemed"
    life.tick()
    life.go_on(hours=-4)
    assert life.tick().launches == []
    assert life.do(upcoming_slots_of, life.source, life.now, 2) == [at(12), at(18)], "the import of 15:00 has run"
    life.go_on(minutes=50)
    assert ids_of(life.tick()) == [noon]


@pytest.mark.parametrize("ahead", [{"hours": 4}, {"days": 3}])
def test_a_request_that_a_clock_ahead_has_written_starts_when_the_clock_is_set_back(life, ahead):
    life.go_on(**ahead)
    requests.request_import(life.installation, life.source, RequestKind.NEW, by="Ada")
    [number] = ids_of(life.tick())
    life.go_on(**{unit: -value for unit, value in ahead.items()})
    assert ids_of(life.tick()) == [number], "the requested run then is no recent one"


def test_a_schedule_that_is_switched_on_again_makes_no_slot_of_that_time_up(life):
    number = numbered(life, 12)[12]
    for _ in range(9):
        life.go_on(hours=3)
        life.tick(schedule_is_on=False)
    result = life.tick()
    assert result.launches == []
    assert result.sentences[0] == "The schedule was off at 2030-06-01 12:00 UTC."
    assert [(row.status.value, row.slot_at) for row in life.all()] == [
        ("cancelled", at(12)),
        ("scheduled", at(15, day=2)),
    ]
    life.go_on(hours=2)
    [launch] = life.tick().launches
    assert life.get(launch.import_id).slot_at == at(15, day=2), "the next slot is due as ever"
    assert life.get(number).failure_reason == "The schedule was off at 2030-06-01 12:00 UTC."


def test_slots_that_passed_after_the_schedule_was_switched_on_and_before_any_look_are_missed(life):
    numbered(life, 12)
    life.tick(schedule_is_on=False)
    life.go_on(hours=12)
    [launch] = life.tick(on_since=at(17)).launches
    assert life.get(launch.import_id).slot_at == at(21)
    assert [(row.status.value, row.slot_at) for row in life.all()] == [
        ("cancelled", at(12)),
        ("cancelled", at(18)),
        ("scheduled", at(21)),
        ("scheduled", at(0, day=2)),
    ]


def test_cron_follows_a_schedule_that_a_sensor_sees_off_and_ignores_what_none_has_seen_for_long(life):
    life.tick(schedule_is_on=False)
    assert is_off_now(life.installation, life.source)
    life.tick(schedule_is_on=False, has_seen_schedule=False)
    life.go_on(minutes=2)
    assert not is_off_now(life.installation, life.source), "the look of cron is none of a sensor"


def test_a_downtime_with_the_schedule_on_makes_up_the_latest_slot_though_it_was_off_long_ago(life):
    life.tick(schedule_is_on=False)
    life.tick()
    life.go_on(hours=6)
    [launch] = life.tick().launches
    assert life.get(launch.import_id).slot_at == at(15)


def test_a_stopped_schedule_starts_no_slot_and_touches_none(life):
    numbered(life, 6, 9)
    before = life.story()
    result = life.tick(schedule_is_on=False)
    assert (result.launches, life.story()) == ([], before)
    assert result.sentences == ["The schedule is off, and no import was requested."]
    assert life.tick().launches == []


def test_a_worker_whose_lease_ran_out_is_replaced_three_times_then_the_import_has_failed(life):
    number = numbered(life, 9)[9]
    hand = life.launch(run_id="run-0")
    hand.discover("1", "2", "3")
    hand.succeed(hand.claim(1))
    for resume in (1, 2, 3):
        held = hand.claim(1)
        life.go_on(seconds=59)
        assert life.tick().launches == []
        life.go_on(seconds=1)
        result = life.tick()
        assert result.launches == [
            Launch(
                import_id=number,
                reason=f"Import {number} is resumed: its worker is dead (resume {resume} of 3 without progress).",
                dead_run_id=f"run-{resume - 1}",
            )
        ]
        assert life.tick().launches == [], "somebody has asked already"
        before, hand = hand, life.begin(number, BOB, run_id=f"run-{resume}")
        with pytest.raises(LeaseLost):
            before.succeed(held)
        assert life.get(number).resumes == resume
    life.go_on(seconds=60)
    result = life.tick()
    assert (result.launches, result.dead_run_ids) == ([], ["run-3"])
    row = life.get(number)
    reason = f"Import {number} was resumed 3 times without progress; its worker died each time."
    assert (row.status, row.failure_reason, row.ended_at) == (FAILED, reason, life.now)
    assert life.item_counts(number) == {"completed": 1, "pending": 2}
    with pytest.raises(LeaseLost):
        hand.beat()


FATES = {
    "alive": (RunState.ALIVE, False, [], "is running."),
    "gone": (RunState.GONE, False, ["run"], "is resumed: its worker is dead (resume 1 of 3 without progress)."),
    "terminated": (RunState.CANCELLED, False, [], "is cancelled as requested: its worker is dead."),
    "gone, and to be cancelled": (RunState.GONE, True, [], "is cancelled as requested: its worker is dead."),
}


@pytest.mark.parametrize(("fate", "wished", "resumed", "sentence"), FATES.values(), ids=FATES)
def test_what_dagster_knows_of_the_run_decides_at_once(life, fate, wished, resumed, sentence):
    number = numbered(life, 9)[9]
    life.launch(run_id="run")
    life.go_on(seconds=2)
    if wished:
        cancellation.cancel(life.installation, number, by="Ada")
    asked = []

    def run_state_of(run_id):
        asked.append(run_id)
        return fate

    result = life.tick(run_state_of=run_state_of)
    assert asked == ["run"]
    assert [launch.dead_run_id for launch in result.launches] == resumed
    assert result.sentences[-1] == f"Import {number} {sentence}"
    ends = "cancelled" in sentence
    assert life.get(number).status is (CANCELLED if ends else RUNNING)
    assert result.dead_run_ids == (["run"] if ends else [])


def test_a_pause_is_waited_for_and_going_on_after_it_counts_as_no_resume(life):
    number = numbered(life, 9)[9]
    hand = life.launch(run_id="run")
    hand.discover("1")
    life.do(leases.write, hand.lease, life.now, blocked_until=at(11))
    hand.leave()
    gone = {"run_state_of": lambda run_id: RunState.GONE}
    life.go_on(minutes=59)
    waiting = life.tick(**gone)
    assert (waiting.launches, waiting.sentences[-1]) == (
        [],
        f"Import {number} is paused until 2030-06-01 11:00 UTC, as the API requested.",
    )
    life.go_on(minutes=1)
    assert ids_of(life.tick(**gone)) == [number]
    hand = life.begin(number, BOB)
    hand.succeed(hand.claim())
    hand.complete()
    row = life.get(number)
    assert (row.status, row.resumes, row.blocked_until) == (COMPLETED, 0, None)
