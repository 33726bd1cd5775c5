"""Runs that are launched, terminated and launched again in Dagster's UI, by its own interface."""

import re

import dagster as dg
import pytest

from import_pipeline_tests.acceptance.dagster_ui import DagsterUi
from import_pipeline_tests.acceptance.outside import events_of, eventually, free_port, rows, some_details, tracking
from import_pipeline_tests.loaded import serve


@pytest.fixture
def dev(dagster, home):
    """`dagster dev`, with its UI and its daemon."""
    port = free_port()

    def start(url):
        dagster.environment |= {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": "5/1 second"}
        dagster.start("dev", "--port", str(port))
        ui = DagsterUi(f"http://127.0.0.1:{port}")
        ui.wait()
        return ui

    return start


def import_of(home, run_id):
    """The import that the run carried out."""
    [row] = rows(tracking(home), f"SELECT * FROM imports WHERE dagster_run_id = '{run_id}'")
    return row


def test_runs_of_the_ui_wait_for_each_other_and_a_terminated_one_cancels_its_import(dev, home, instance):
    with serve("--items", "40", "--limits", "none") as url:
        ui = dev(url)
        first = ui.launch("import_items")
        some_details(url, 2)
        second = ui.launch("import_items")
        eventually(lambda: ui.status(second) == "QUEUED", "the second run waits")
        assert ui.status(first) == "STARTED"
        ui.terminate(first)
        ui.wait_for(first, "CANCELED")
        cancelled = import_of(home, first)
        assert (cancelled["status"], cancelled["failure_reason"]) == ("cancelled", "its Dagster run was terminated")
        ui.wait_for(second, "SUCCESS")
        completed = import_of(home, second)
        assert completed["status"] == "completed"
        assert completed["items_imported_count"] + completed["items_unchanged_count"] == 40
        assert completed["started_at"] > cancelled["ended_at"], "it has waited"
        check_the_observations(instance, second, completed["id"])
        third = ui.launch_again(second)
        ui.wait_for(third, "SUCCESS")
        own = import_of(home, third)
        assert (own["id"], own["items_unchanged_count"]) == (completed["id"] + 1, 40), "an import of its own"
        assert ui.staleness("enriched_items") == {str(number): "FRESH" for number in range(1, 41)}, (
            "a list read again changes none"
        )


def check_the_observations(instance, run_id, import_id):
    """How far an import of more than five seconds was, on what it fills."""
    observed = [
        event.asset_observation_data.asset_observation
        for event in events_of(instance, run_id, dg.DagsterEventType.ASSET_OBSERVATION)
    ]
    assert {each.asset_key.to_user_string() for each in observed} == {"enriched_items"}
    for each in observed:
        figures = {key: value.value for key, value in each.metadata.items()}
        done = figures["items_imported"]
        assert (figures["items_total"], figures["items_failed"]) == (40, 0)
        assert 0 < done < 40
        assert figures["eta_seconds"] > 0
        assert re.fullmatch(rf"Import {import_id}: \d+ of 40 items", each.description)
