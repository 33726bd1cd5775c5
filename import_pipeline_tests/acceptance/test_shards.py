"""Imports that several Dagster runs share, through a real `dagster dev`: launched, killed, terminated, cancelled."""

import os
import signal

import pytest

from import_pipeline_tests.acceptance.command_line import eventually, stats
from import_pipeline_tests.acceptance.dagster_dev import DagsterDev

pytestmark = [pytest.mark.timeout(400), pytest.mark.nightly]
SLOWLY = ("--delay-after", "400")


@pytest.fixture(scope="module")
def dev(checkout, tmp_path_factory):
    """One `dagster dev` for all tests of this module; three runs share an import."""
    living = DagsterDev(checkout, tmp_path_factory.mktemp("dev"), ITEMS_SHARDS="3", ITEMS_LEASE="10")
    try:
        living.start()
        yield living
    finally:
        living.end()


def begun(dev, *options, shards=(2, 3)):
    """Return an import on which all its runs work."""
    before = max([row["id"] for row in dev.imports()], default=0)
    dev.command.run("request", "items", "--fresh", "--yes", *options)
    row = dev.wait_for(f"id > {before} AND started_at IS NOT NULL")
    eventually(lambda: tuple(at_work(dev, row["id"])) == shards, "the shards are at work", seconds=90)
    return row["id"]


def at_work(dev, number):
    held = f"SELECT * FROM import_shards WHERE import_id = {number} AND pid IS NOT NULL AND requests_count > 0"
    return {row["number"]: row for row in dev.query(held)}


def tags(dev, number):
    """Return the tags of the import's runs, and the status of each."""
    query = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"
    runs = dev.ui.ask(query)["runsOrError"]["results"]
    found = [(run, {tag["key"]: tag["value"] for tag in run["tags"]}) for run in runs]
    return sorted(
        (run["jobName"], each.get("import_source", ""), each.get("import_shard", ""), run["status"])
        for run, each in found
        if each.get("import_id") == str(number)
    )


def test_three_runs_share_an_import_and_fetch_nothing_twice(dev):
    with dev.serving("--items", "250", *SLOWLY):
        number = begun(dev)
        done = dev.ended(number, "completed")
        seen = stats(dev.api)
    assert (done["items_imported_count"], done["rate_limit_hits_count"]) == (250, 0)
    assert (seen["details"], seen["repeated_details"], done["requests_count"]) == (250, {}, seen["admitted"])
    eventually(lambda: {run[3] for run in tags(dev, number)} == {"SUCCESS"}, "all three runs have ended well")
    assert tags(dev, number) == [
        ("enrich_items_shard", "", "2", "SUCCESS"),
        ("enrich_items_shard", "", "3", "SUCCESS"),
        ("import_items", "items", "", "SUCCESS"),
    ]


def test_a_killed_shard_is_launched_again_and_its_run_has_failed(dev):
    with dev.serving("--items", "400", *SLOWLY):
        number = begun(dev)
        killed = at_work(dev, number)[2]
        os.kill(killed["pid"], signal.SIGKILL)
        again = f"SELECT * FROM import_shards WHERE import_id = {number} AND launches = 2"
        eventually(lambda: dev.query(again), "it is launched again", seconds=90)
        done = dev.ended(number, "completed")
        twice = len(stats(dev.api)["repeated_details"])
    assert (done["items_imported_count"], done["resumes"]) == (400, 0)
    assert twice <= 3
    eventually(
        lambda: sorted(run[3] for run in tags(dev, number)) == ["FAILURE", *["SUCCESS"] * 3],
        "one has failed",
        seconds=120,
    )
    assert dev.ui.runs(number)[killed["dagster_run_id"]] == "FAILURE"


def test_a_terminated_shard_stays_out_and_the_others_continue(dev):
    with dev.serving("--items", "250", *SLOWLY):
        number = begun(dev, "--shards", "2", shards=(2,))
        run_id = at_work(dev, number)[2]["dagster_run_id"]
        dev.ui.terminate(run_id)
        eventually(lambda: dev.ui.runs(number)[run_id] == "CANCELED", "the shard's run is cancelled")
        done = dev.ended(number, "completed")
    assert done["items_imported_count"] == 250
    eventually(lambda: sorted(dev.ui.runs(number).values()) == ["CANCELED", "SUCCESS"], "the other run has ended well")


def test_a_cancelled_import_ends_with_all_its_runs(dev):
    with dev.serving("--items", "900", *SLOWLY):
        number = begun(dev)
        dev.command.run("cancel", str(number), "--yes")
        dev.ended(number, "cancelled")
        eventually(lambda: set(dev.ui.runs(number).values()) == {"CANCELED"}, "all three runs are cancelled")
        asked = dev.details()
    assert asked < 900
