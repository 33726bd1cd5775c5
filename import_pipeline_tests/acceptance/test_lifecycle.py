"""The life of imports through a real `dagster dev`: due, requested, cancelled, killed."""

import os
import signal
import statistics

import pytest

from import_pipeline_tests.acceptance.command_line import eventually, far_slot, stats
from import_pipeline_tests.acceptance.dagster_dev import DagsterDev, hours_ago, moment

pytestmark = pytest.mark.timeout(300)  # the first test's time includes the start of dagster dev
#: Slots that have passed, the earliest first, beside the one that is far ahead.
OVERDUE = [hours_ago(hours) for hours in (9, 6, 3)]
DOWNSTREAM = "items_downstream_sensor"
REQUEST, CANCEL = "write_down_request_for_items", "cancel_running_import_of_items"


@pytest.fixture(scope="module")
def dev(checkout, tmp_path_factory):
    """One `dagster dev` for all tests of this module."""
    slots = ",".join([far_slot(), *(slot for slot, _ in OVERDUE)])
    living = DagsterDev(checkout, tmp_path_factory.mktemp("dev"), ITEMS_SLOTS=slots)
    try:
        living.start()
        living.ui.switch_off(DOWNSTREAM)  # until the test that follows what it does: each of its runs takes seconds
        yield living
    finally:
        living.end()


def overdue(dev, slot_at):
    columns = "source, importable_type, kind, trigger, status, slot_at, scheduled_at, created_at, updated_at"
    values = ("items", "imported_items", "full", "schedule", "scheduled", *[slot_at] * 4)
    dev.execute(f"INSERT INTO imports ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *values)


def test_of_three_overdue_slots_the_latest_runs_and_two_are_cancelled(dev):
    dev.wait_for("slot_at IS NOT NULL", "the next slot's import")
    with dev.serving("--items", "5"):
        slots = [slot_at for _, slot_at in OVERDUE]
        for slot_at in slots:
            overdue(dev, slot_at)
        last = dev.wait_for(f"slot_at = '{slots[2]}' AND started_at IS NOT NULL")
        row = dev.ended(last["id"], "completed")
    assert (row["items_imported_count"], row["trigger"]) == (5, "schedule")
    missed = dev.imports(f"slot_at IN ('{slots[0]}', '{slots[1]}')")
    assert [(each["status"], each["started_at"]) for each in missed] == [("cancelled", None)] * 2
    assert [each["failure_reason"] for each in missed] == [
        f"The slot of {slot_at[:16]} UTC was missed; the one of {slots[2][:16]} UTC takes its place."
        for slot_at in slots[:2]
    ]
    assert len(dev.imports("status = 'scheduled'")) == 1


def test_new_from_the_launchpad_and_reschedule_from_the_command_line_run_one_after_the_other(dev):
    planned = dev.wait_for("status = 'scheduled'")
    with dev.serving("--items", "5"):
        dev.command.run("reschedule", "items", "--reason", "the boss asked")
        dev.ui.launch("request_items_import", **{REQUEST: {"mode": "new", "fresh": False, "reason": "a look"}})
        moved = dev.ended(planned["id"], "completed")
        new = dev.wait_for("trigger = 'request'")
        new = dev.ended(new["id"], "completed")
    assert (moved["trigger"], moved["slot_at"]) == ("reschedule", planned["slot_at"])
    assert (new["slot_at"], new["requested_by"]) == (None, "a person in the Dagster UI")
    first, second = sorted([moved, new], key=lambda row: row["started_at"])
    assert first["ended_at"] < second["started_at"]
    reasons = dev.query("SELECT wish, reason, result_import_id FROM import_requests ORDER BY wish")
    assert [tuple(request.values()) for request in reasons] == [
        ("new", "a look", new["id"]),
        ("reschedule", "the boss asked", moved["id"]),
    ]
    following = dev.wait_for("status = 'scheduled'", "the following slot's import")
    assert following["slot_at"] > planned["slot_at"]


def test_runs_of_the_ui_wait_for_each_other_and_a_terminated_one_cancels_its_import(dev):
    with dev.serving("--items", "40", "--delay-after", "300"):
        first = dev.ui.launch("import_items")
        eventually(lambda: dev.details() >= 2, "some details were asked for")
        second = dev.ui.launch("import_items")
        eventually(lambda: dev.ui.status(second) == "QUEUED", "the second run waits")
        assert dev.ui.status(first) == "STARTED"
        dev.ui.terminate(first)
        dev.ui.wait_for(first, "CANCELED")
        [cancelled] = dev.imports(f"dagster_run_id = '{first}'")
        assert (cancelled["status"], cancelled["failure_reason"]) == ("cancelled", "its Dagster run was terminated")
        dev.ui.wait_for(second, "SUCCESS")
        [completed] = dev.imports(f"dagster_run_id = '{second}'")
        assert completed["status"] == "completed"
        assert completed["items_imported_count"] + completed["items_unchanged_count"] == 40
        assert completed["started_at"] > cancelled["ended_at"], "it has waited"
        third = dev.ui.launch_again(second)
        dev.ui.wait_for(third, "SUCCESS")
    [own] = dev.imports(f"dagster_run_id = '{third}'")
    assert (own["id"], own["items_unchanged_count"]) == (completed["id"] + 1, 40), "an import of its own"
    fresh = dev.ui.staleness("enriched_items")
    assert fresh == {str(number): "FRESH" for number in range(1, 41)}, "a list read again changes none"


def new_import(dev, *options):
    """Request an import; return it as soon as it has begun."""
    before = max([row["id"] for row in dev.imports()], default=0)
    dev.command.run("request", "items", "--yes", *options)
    return dev.wait_for(f"id > {before} AND started_at IS NOT NULL")


def test_a_killed_run_is_resumed_by_the_sensor(dev, record_property):
    with dev.serving("--items", "40", "--delay-after", "300"):
        row = new_import(dev, "--fresh")
        eventually(lambda: dev.details() >= 10, "some details were asked for")
        os.kill(dev.row(row["id"])["pid"], signal.SIGKILL)
        killed, asked = dev.requests_at()[-1], dev.details()
        eventually(lambda: dev.details() > asked, "it goes on")
        resumed_after = dev.requests_at()[asked + 1] - killed
        done = dev.ended(row["id"], "completed")
        twice = len(stats(dev.api)["repeated_details"])
    assert (done["items_imported_count"], done["resumes"]) == (40, 1)
    record_property("seconds_to_resume", resumed_after)
    record_property("details_fetched_twice", twice)
    assert twice <= 3, "at most those that were in flight"
    dev.ui.eventually(
        lambda: sorted(dev.ui.runs(row["id"]).values()) == ["FAILURE", "SUCCESS"], "the dead run has failed"
    )


def test_an_import_is_cancelled_from_the_launchpad_and_its_rest_retried_from_the_command_line(dev, record_property):
    earlier = bool(dev.imports("status = 'completed'"))
    dev.ui.switch_on(DOWNSTREAM)
    with dev.serving("--items", "200", "--delay-after", "600"):
        row = new_import(dev, "--fresh")
        [request] = dev.query(f"SELECT requested_at FROM import_requests WHERE result_import_id = {row['id']}")
        eventually(lambda: dev.details() >= 5, "some details were asked for")
        to_first = dev.requests_at()[0] - moment(request["requested_at"])
        dev.ui.launch("cancel_items_import", **{CANCEL: {"reason": "wrong day"}})
        cancelled = dev.ended(row["id"], "cancelled")
        requested_at = moment(cancelled["cancel_requested_at"])
        to_last = dev.requests_at()[-1] - requested_at
        to_end = moment(cancelled["ended_at"]) - requested_at
    left = 200 - cancelled["items_imported_count"]
    dev.ui.eventually(lambda: set(dev.ui.runs(row["id"]).values()) == {"CANCELED"}, "its run is cancelled")
    dev.ui.eventually(
        lambda: [status for status, _ in dev.ui.downstream_runs()] == ["SUCCESS"] * earlier,
        "one run follows the imports of all tests before this one",
    )
    with dev.serving("--items", "200", "--delay-after", "0"):
        result = dev.command.run("retry", str(row["id"]), "--json").json
        retried = dev.ended(result["import_id"], "completed")
        assert dev.details() == retried["items_imported_count"] == left > 0
    assert (retried["kind"], retried["retry_of"]) == ("selection", row["id"])
    dev.ui.eventually(
        lambda: ("SUCCESS", [retried["id"]]) in dev.ui.downstream_runs(), "the application's rows follow the retry"
    )
    assert dev.ui.materialized("items")["rows_written"] == left, "its items only"
    followed = {import_id for _, import_ids in dev.ui.downstream_runs() for import_id in import_ids}
    assert followed <= {each["id"] for each in dev.imports("status = 'completed'")}
    whole = [each["id"] for each in dev.imports("status = 'completed' AND kind = 'full'")]
    assert set(whole[-1:]) <= followed, "and the tests before this one"
    record_property("seconds_from_new_to_first_request", to_first)
    record_property("seconds_from_cancel_to_last_request", to_last)
    record_property("seconds_from_cancel_to_end", to_end)
    assert to_last < 2
    assert to_end < 2
    assert to_first < 60, "a machine that is busy with much else needs longer than the ten seconds of the night"


@pytest.mark.nightly
def test_new_sends_its_first_request_within_ten_seconds_in_the_median_of_five(dev, record_property):
    seconds = []
    for _ in range(5):
        with dev.serving("--items", "1"):
            row = new_import(dev)
            [request] = dev.query(f"SELECT requested_at FROM import_requests WHERE result_import_id = {row['id']}")
            dev.ended(row["id"], "completed")
            seconds.append(dev.requests_at()[0] - moment(request["requested_at"]))
    record_property("seconds_from_new_to_first_request", seconds)
    assert statistics.median(seconds) < 10
