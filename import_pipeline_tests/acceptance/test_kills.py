"""Imports that are cancelled while all workers wait; workers and whole installations that are killed or frozen."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline_tests.acceptance.command_line import eventually, rows, stats, tracking
from import_pipeline_tests.acceptance.dagster_dev import DagsterDev, moment
from import_pipeline_tests.support import http
from import_pipeline_tests.support.forked_cli import serve
from import_pipeline_tests.support.frozen_process import freeze

pytestmark = pytest.mark.timeout(300)  # dagster dev starts up to twice in a test
EVERY_ITEM_FAILS = [option for number in range(1, 6) for option in ("--fault", f"{number}=status:500")]
WAITS = {
    "in a pause of a minute": (["--fault", "1=status:429:60"], {}, "blocked_until IS NOT NULL"),
    "for the next tries of all items": (
        EVERY_ITEM_FAILS,
        {"ITEMS_BACKOFF": "60"},
        "5 = (SELECT count(*) FROM import_item_statuses WHERE next_attempt_at IS NOT NULL)",
    ),
}


@pytest.mark.parametrize(("options", "settings", "waits"), WAITS.values(), ids=WAITS)
def test_an_import_is_cancelled_within_two_seconds_while_all_workers_wait(
    command, home, options, settings, waits, record_property
):
    with serve("--items", "5", "--limits", "none", *options) as url:
        command.environment = {"ITEMS_BASE_URL": url, **settings}
        running = command.start("run", "items", "--json")
        query = f"SELECT * FROM imports WHERE status = 'running' AND {waits}"
        eventually((home / "import_pipeline.db").exists, "there is a database")
        eventually(lambda: "imports" in tables(home) and rows(tracking(home), query), "all workers wait")
        command.run("cancel", "1", "--yes", "--reason", "too slow")
        ended = running.end()
        offset = time.time() - time.monotonic()
        last = offset + http.get(f"{url}/_log").json()[-1][0]
    assert (ended.status, ended.json["status"]) == (4, "cancelled")
    [row] = rows(tracking(home), "SELECT * FROM imports")
    requested_at = moment(row["cancel_requested_at"])
    to_end = moment(row["ended_at"]) - requested_at
    record_property("seconds_from_cancel_to_last_request", last - requested_at)
    record_property("seconds_from_cancel_to_end", to_end)
    assert last - requested_at < 2
    assert to_end < 2
    held = rows(tracking(home), "SELECT * FROM import_item_statuses WHERE status = 'processing'")
    assert held == []


def tables(home):
    return [row["name"] for row in rows(tracking(home), "SELECT name FROM sqlite_master")]


@pytest.fixture
def dev(checkout, tmp_path):
    """A `dagster dev` that the test may kill."""
    living = DagsterDev(checkout, tmp_path)
    yield living
    living.end()


def begun(dev, details):
    """Return an import that has requested that many details."""
    dev.command.run("request", "items")
    row = dev.wait_for("started_at IS NOT NULL")
    eventually(lambda: dev.details() >= details, "some details were asked for")
    return row["id"]


def final(dev, number):
    """Return the import and all rows that it has written, once it has completed."""
    dev.ended(number, "completed")
    return [dev.query(f"SELECT * FROM {table}") for table in ("imports", "import_item_statuses", "imported_items")]


@pytest.mark.nightly
def test_a_schedule_starts_an_import_by_itself_at_its_slot(dev, record_property):
    slot = (datetime.now(UTC) + timedelta(seconds=80)).replace(second=0, microsecond=0)
    dev.command.environment["ITEMS_SLOTS"] = slot.strftime("%H:%M")
    with dev.serving("--items", "5"):
        dev.start()
        row = dev.wait_for("status = 'scheduled'")
        assert moment(row["slot_at"]) == slot.timestamp()
        eventually(lambda: dev.row(row["id"])["started_at"], "it has started", seconds=150)
        done = dev.ended(row["id"], "completed")
        record_property("seconds_from_slot_to_first_request", dev.requests_at()[0] - slot.timestamp())
    assert 0 <= moment(done["started_at"]) - slot.timestamp() < 30
    assert len(dev.ui.runs(row["id"])) == 1


@pytest.mark.nightly
def test_a_killed_installation_continues_after_a_restart(dev, record_property):
    dev.start()
    with dev.serving("--items", "80"):
        number = begun(dev, 10)
        dev.kill()
        killed, asked = dev.row(number), dev.details()
        assert killed["status"] == "running"
        started_at = time.time()
        dev.start()
        dev.ended(number, "completed")
        record_property("seconds_to_resume", dev.requests_at()[asked + 1] - started_at)
        twice = len(stats(dev.api)["repeated_details"])
    record_property("details_fetched_twice", twice)
    assert twice <= 3
    row = dev.row(number)
    assert (row["items_imported_count"], row["resumes"]) == (80, 1)
    eventually(lambda: sorted(dev.ui.runs(number).values()) == ["FAILURE", "SUCCESS"], "the dead run has failed")
    assert dev.ui.runs(number)[killed["dagster_run_id"]] == "FAILURE"


@pytest.mark.nightly
def test_a_worker_that_was_frozen_beyond_its_lease_changes_nothing_when_it_wakes_up(dev):
    dev.start()
    with dev.serving("--items", "80"):
        number = begun(dev, 10)
        frozen = dev.row(number)
        freeze(frozen["pid"], dev.home)
        before = final(dev, number)
        asked = dev.details()
        os.kill(frozen["pid"], signal.SIGCONT)
        eventually(lambda: not is_running(frozen["pid"]), "the frozen worker has ended")
        assert final(dev, number) == before
        assert dev.details() == asked, "it asks for nothing more"
    row = dev.row(number)
    assert (row["items_imported_count"], row["resumes"]) == (80, 1)
    # A run ends a moment after its import.
    ended = {frozen["dagster_run_id"]: "FAILURE", row["dagster_run_id"]: "SUCCESS"}
    eventually(lambda: dev.ui.runs(number) == ended, "both runs have ended")


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.nightly
def test_an_import_whose_run_was_terminated_is_cancelled_and_not_resumed(dev):
    dev.start()
    with dev.serving("--items", "200"):
        number = begun(dev, 10)
        run_id = dev.row(number)["dagster_run_id"]
        dev.ui.terminate(run_id)
        dev.ended(number, "cancelled")
        eventually(lambda: dev.ui.runs(number) == {run_id: "CANCELED"}, "its run is cancelled")
        asked = dev.details()
        dev.command.run("request", "items")
        following = dev.wait_for(f"id > {number} AND trigger = 'request' AND started_at IS NOT NULL")
        assert dev.ui.runs(number) == {run_id: "CANCELED"}, "the sensor has looked, and asked for no other run"
        dev.command.run("cancel", str(following["id"]), "--yes")
        dev.ended(following["id"], "cancelled")
        assert asked < 200
