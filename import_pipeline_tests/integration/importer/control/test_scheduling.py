"""A tick on real rows: slots filled, missed, changed and stopped; stalled imports."""

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


def numbered(simulation, *hours):
    """Scheduled imports of those slots of today, by hour."""
    return {hour: simulation.slot(at(hour)) for hour in hours}


def test_a_tick_makes_the_import_of_the_next_slot_once(simulation):
    for _ in range(3):
        result = simulation.tick()
        assert result.launches == []
        assert list(simulation.overview().values()) == [("schedule", "scheduled", at(12))]
    assert result.sentences == ["Nothing is due before 2030-06-01 12:00 UTC."]
    [row] = simulation.all()
    assert (row.scheduled_at, row.created_at, row.items_count) == (at(12), TEN, None)


def test_a_due_import_is_launched_once_and_again_when_nothing_came_of_it(simulation):
    number = numbered(simulation, 9)[9]
    first = simulation.tick()
    reason = f"Import {number} is due since 2030-06-01 09:00 UTC."
    assert first.launches == [Launch(import_id=number, reason=reason)]
    assert first.sentences == ["The next slot is 2030-06-01 12:00 UTC.", reason]
    simulation.advance(seconds=59)
    assert simulation.tick().launches == []
    simulation.advance(seconds=1)
    assert simulation.tick().launches == first.launches
    assert simulation.actions(number) == ["run_requested", "run_requested"]


def test_after_a_downtime_the_latest_slot_starts_and_the_older_ones_are_cancelled_with_the_reason(simulation):
    number = numbered(simulation, 3, 6, 9)
    assert [launch.import_id for launch in simulation.tick().launches] == [number[9]]
    for hour in (3, 6):
        row = simulation.get(number[hour])
        assert (row.status, row.cancelled_at, row.ended_at, row.started_at) == (CANCELLED, TEN, TEN, None)
        assert row.failure_reason == (
            f"The slot of 2030-06-01 0{hour}:00 UTC was missed; the one of 2030-06-01 09:00 UTC takes its place."
        )
        assert simulation.actions(number[hour]) == ["import_cancelled"]
    assert simulation.get(number[9] + 1).slot_at == at(12)


def test_slots_that_a_downtime_passed_over_are_in_the_history(simulation):
    """Only the first of them had its import when everything went down."""
    number = numbered(simulation, 12)[12]
    simulation.advance(hours=10)
    result = simulation.tick()
    [latest] = ids_of(result)
    assert [(row.id, row.status.value, row.slot_at) for row in simulation.all()] == [
        (number, "cancelled", at(12)),
        (number + 1, "cancelled", at(15)),
        (latest, "scheduled", at(18)),
        (latest + 1, "scheduled", at(21)),
    ]
    assert simulation.get(number + 1).failure_reason == (
        "The slot of 2030-06-01 15:00 UTC was missed; the one of 2030-06-01 18:00 UTC takes its place."
    )
    assert result.sentences[:2] == [f"The slot of 2030-06-01 {hour}:00 UTC was missed." for hour in (15, 18)]
    before = simulation.overview()
    assert (simulation.tick().launches, simulation.overview()) == ([], before)


def test_a_stopped_schedule_fills_no_slot_that_has_passed(simulation):
    numbered(simulation, 12)
    simulation.advance(hours=10)
    before = simulation.overview()
    simulation.tick(schedule_is_on=False)
    assert simulation.overview() == before


def test_what_is_due_waits_for_the_running_import(simulation):
    number = numbered(simulation, 9, 12)
    hand = simulation.launch()
    simulation.advance(hours=2)
    hand.beat()
    waiting = simulation.tick()
    assert (waiting.launches, waiting.sentences[-1]) == ([], f"Import {number[9]} is running.")
    with pytest.raises(ImportAlreadyRunning, match=f"import {number[9]} has been running since"):
        simulation.begin(number[12], BOB)
    hand.import_all("1", "2")
    assert [launch.import_id for launch in simulation.tick().launches] == [number[12]]
    assert [row.slot_at for row in simulation.all()] == [at(9), at(12), at(15)]


def test_the_slots_to_come_are_those_that_are_not_spent(simulation):
    assert simulation.call(upcoming_slots_of, simulation.source, simulation.now, 3) == [at(12), at(15), at(18)]
    simulation.tick()
    assert simulation.call(upcoming_slots_of, simulation.source, simulation.now, 3) == [at(12), at(15), at(18)]
    requests.request_import(simulation.installation, simulation.source, RequestKind.RESCHEDULE)
    simulation.tick()
    assert simulation.call(upcoming_slots_of, simulation.source, simulation.now, 3) == [at(15), at(18), at(21)]
    simulation.begin(simulation.all()[0].id).import_all("1")
    assert simulation.tick().sentences == ["Nothing is due before 2030-06-01 15:00 UTC."]
    cancellation.cancel(simulation.installation, simulation.all()[1].id)
    assert simulation.call(upcoming_slots_of, simulation.source, simulation.now, 2) == [at(18), at(21)]


def test_a_slot_that_was_spent_before_its_time_is_not_filled_again(simulation):
    number = numbered(simulation, 12)[12]
    simulation.begin(number).import_all("1")
    simulation.tick()
    simulation.advance(hours=2)
    assert simulation.tick().launches == []
    assert [(row.status.value, row.slot_at) for row in simulation.all()] == [
        ("completed", at(12)),
        ("scheduled", at(15)),
    ]


def test_changed_slots_cancel_what_was_planned_for_the_old_ones(simulation):
    numbers = numbered(simulation, 9, 12)
    changed = SimulatedInstallation(simulation.database, source=items_source(slots="10:30"))
    result = changed.tick()
    assert result.launches == [], "what the settings do not have does not start"
    assert result.sentences[:2] == [
        f"The schedule no longer has a slot at 2030-06-01 {h} UTC." for h in ("09:00", "12:00")
    ]
    assert {simulation.get(number).status for number in numbers.values()} == {CANCELLED}
    assert changed.all()[-1].slot_at == TEN + timedelta(minutes=30)


def test_a_setting_that_comes_back_brings_the_imports_that_it_had_cancelled_back(simulation):
    """A time zone that is changed and changed back; two processes with different settings."""
    number = numbered(simulation, 12)[12]
    other = SimulatedInstallation(simulation.database, source=items_source(time_zone="Asia/Kolkata"))
    for _ in range(3):
        other.tick()
        assert simulation.get(number).status is CANCELLED
        simulation.tick()
        row = simulation.get(number)
        assert (row.status.value, row.scheduled_at, row.failure_reason) == ("scheduled", at(12), None)
        assert (row.cancelled_at, row.ended_at) == (None, None)
    assert simulation.event_sentences(number)[1] == (
        "slot_reinstated",
        "Scheduled again: the slot of 2030-06-01 12:00 UTC is still to come and is not spent.",
    )
    simulation.advance(hours=2)
    assert number in ids_of(simulation.tick())


def test_a_slot_that_a_person_cancelled_stays_cancelled_whatever_becomes_of_the_settings(simulation):
    number = numbered(simulation, 12)[12]
    cancellation.cancel(simulation.installation, number, by="Ada")
    SimulatedInstallation(simulation.database, source=items_source(slots="10:30")).tick()
    simulation.tick()
    assert simulation.get(number).status is CANCELLED
    assert simulation.call(upcoming_slots_of, simulation.source, simulation.now, 1) == [at(15)]


def test_a_clock_that_was_ahead_for_two_looks_loses_no_slot(simulation):
    noon = numbered(simulation, 12)[12]
    simulation.advance(hours=5, minutes=10)
    three = simulation.launch()
    three.import_all("1")
    assert (three.row.slot_at, simulation.get(noon).status) == (at(15), CANCELLED), "noon was missed, as it seemed"
    simulation.tick()
    simulation.advance(hours=-4)
    assert simulation.tick().launches == []
    assert simulation.call(upcoming_slots_of, simulation.source, simulation.now, 2) == [at(12), at(18)], (
        "the import of 15:00 has run"
    )
    simulation.advance(minutes=50)
    assert ids_of(simulation.tick()) == [noon]


@pytest.mark.parametrize("ahead", [{"hours": 4}, {"days": 3}])
def test_a_request_that_a_clock_ahead_has_written_starts_when_the_clock_is_set_back(simulation, ahead):
    simulation.advance(**ahead)
    requests.request_import(simulation.installation, simulation.source, RequestKind.NEW, by="Ada")
    [number] = ids_of(simulation.tick())
    simulation.advance(**{unit: -value for unit, value in ahead.items()})
    assert ids_of(simulation.tick()) == [number], "the requested run then is no recent one"


def test_a_schedule_that_is_switched_on_again_makes_no_slot_of_that_time_up(simulation):
    number = numbered(simulation, 12)[12]
    for _ in range(9):
        simulation.advance(hours=3)
        simulation.tick(schedule_is_on=False)
    result = simulation.tick()
    assert result.launches == []
    assert result.sentences[0] == "The schedule was off at 2030-06-01 12:00 UTC."
    assert [(row.status.value, row.slot_at) for row in simulation.all()] == [
        ("cancelled", at(12)),
        ("scheduled", at(15, day=2)),
    ]
    simulation.advance(hours=2)
    [launch] = simulation.tick().launches
    assert simulation.get(launch.import_id).slot_at == at(15, day=2), "the next slot is due as ever"
    assert simulation.get(number).failure_reason == "The schedule was off at 2030-06-01 12:00 UTC."


def test_slots_that_passed_after_the_schedule_was_switched_on_and_before_any_look_are_missed(simulation):
    numbered(simulation, 12)
    simulation.tick(schedule_is_on=False)
    simulation.advance(hours=12)
    [launch] = simulation.tick(on_since=at(17)).launches
    assert simulation.get(launch.import_id).slot_at == at(21)
    assert [(row.status.value, row.slot_at) for row in simulation.all()] == [
        ("cancelled", at(12)),
        ("cancelled", at(18)),
        ("scheduled", at(21)),
        ("scheduled", at(0, day=2)),
    ]


def test_cron_follows_a_schedule_that_a_sensor_sees_off_and_ignores_what_none_has_seen_for_long(simulation):
    simulation.tick(schedule_is_on=False)
    assert is_off_now(simulation.installation, simulation.source)
    simulation.tick(schedule_is_on=False, has_seen_schedule=False)
    simulation.advance(minutes=2)
    assert not is_off_now(simulation.installation, simulation.source), "the look of cron is none of a sensor"


def test_a_downtime_with_the_schedule_on_makes_up_the_latest_slot_though_it_was_off_long_ago(simulation):
    simulation.tick(schedule_is_on=False)
    simulation.tick()
    simulation.advance(hours=6)
    [launch] = simulation.tick().launches
    assert simulation.get(launch.import_id).slot_at == at(15)


def test_a_stopped_schedule_starts_no_slot_and_touches_none(simulation):
    numbered(simulation, 6, 9)
    before = simulation.overview()
    result = simulation.tick(schedule_is_on=False)
    assert (result.launches, simulation.overview()) == ([], before)
    assert result.sentences == ["The schedule is off, and no import was requested."]
    assert simulation.tick().launches == []


def test_a_worker_whose_lease_ran_out_is_replaced_three_times_then_the_import_has_failed(simulation):
    number = numbered(simulation, 9)[9]
    hand = simulation.launch(run_id="run-0")
    hand.discover("1", "2", "3")
    hand.succeed(hand.claim(1))
    for resume in (1, 2, 3):
        held = hand.claim(1)
        simulation.advance(seconds=59)
        assert simulation.tick().launches == []
        simulation.advance(seconds=1)
        result = simulation.tick()
        assert result.launches == [
            Launch(
                import_id=number,
                reason=f"Import {number} is resumed: its worker is dead (resume {resume} of 3 without progress).",
                dead_run_id=f"run-{resume - 1}",
            )
        ]
        assert simulation.tick().launches == [], "a run is requested already"
        before, hand = hand, simulation.begin(number, BOB, run_id=f"run-{resume}")
        with pytest.raises(LeaseLost):
            before.succeed(held)
        assert simulation.get(number).resumes == resume
    simulation.advance(seconds=60)
    result = simulation.tick()
    assert (result.launches, result.dead_run_ids) == ([], ["run-3"])
    row = simulation.get(number)
    reason = f"Import {number} was resumed 3 times without progress; its worker died each time."
    assert (row.status, row.failure_reason, row.ended_at) == (FAILED, reason, simulation.now)
    assert simulation.item_counts(number) == {"completed": 1, "pending": 2}
    with pytest.raises(LeaseLost):
        hand.beat()


FATES = {
    "alive": (RunState.ALIVE, False, [], "is running."),
    "gone": (RunState.GONE, False, ["run"], "is resumed: its worker is dead (resume 1 of 3 without progress)."),
    "terminated": (RunState.CANCELLED, False, [], "is cancelled as requested: its worker is dead."),
    "gone, and to be cancelled": (RunState.GONE, True, [], "is cancelled as requested: its worker is dead."),
}


@pytest.mark.parametrize(("fate", "cancelled", "resumed", "sentence"), FATES.values(), ids=FATES)
def test_the_state_of_the_dagster_run_decides_at_once(simulation, fate, cancelled, resumed, sentence):
    number = numbered(simulation, 9)[9]
    simulation.launch(run_id="run")
    simulation.advance(seconds=2)
    if cancelled:
        cancellation.cancel(simulation.installation, number, by="Ada")
    asked = []

    def run_state_of(run_id):
        asked.append(run_id)
        return fate

    result = simulation.tick(run_state_of=run_state_of)
    assert asked == ["run"]
    assert [launch.dead_run_id for launch in result.launches] == resumed
    assert result.sentences[-1] == f"Import {number} {sentence}"
    ends = "cancelled" in sentence
    assert simulation.get(number).status is (CANCELLED if ends else RUNNING)
    assert result.dead_run_ids == (["run"] if ends else [])


def test_a_pause_is_waited_for_and_the_run_after_it_counts_as_no_resume(simulation):
    number = numbered(simulation, 9)[9]
    hand = simulation.launch(run_id="run")
    hand.discover("1")
    simulation.call(leases.write, hand.lease, simulation.now, blocked_until=at(11))
    hand.leave()
    gone = {"run_state_of": lambda run_id: RunState.GONE}
    simulation.advance(minutes=59)
    waiting = simulation.tick(**gone)
    assert (waiting.launches, waiting.sentences[-1]) == (
        [],
        f"Import {number} is paused until 2030-06-01 11:00 UTC, as the API requested.",
    )
    simulation.advance(minutes=1)
    assert ids_of(simulation.tick(**gone)) == [number]
    hand = simulation.begin(number, BOB)
    hand.succeed(hand.claim())
    hand.complete()
    row = simulation.get(number)
    assert (row.status, row.resumes, row.blocked_until) == (COMPLETED, 0, None)
