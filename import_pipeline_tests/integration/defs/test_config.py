"""The launchpad accepts plain values, and no environment variables."""

import dagster as dg
import pytest

from import_pipeline.definitions import join_definitions
from import_pipeline.settings import load_settings
from import_pipeline.sources import SOURCES

REFERENCE = {"env": "PANEL_TOKEN"}


@pytest.mark.parametrize(
    ("job", "op", "config"),
    [
        ("import_items", "discover_and_enrich_items", {"only": [REFERENCE]}),
        ("import_items", "discover_and_enrich_items", {"only": REFERENCE}),
        ("request_items_import", "write_down_request_for_items", {"reason": REFERENCE}),
        ("request_items_import", "write_down_request_for_items", {"shards": REFERENCE}),
        ("request_items_import", "write_down_request_for_items", {"fresh": REFERENCE}),
        ("cancel_items_import", "cancel_running_import_of_items", {"reason": REFERENCE}),
        ("retry_items_import", "retry_leftovers_of_items", {"reason": REFERENCE}),
        ("retry_items_import", "retry_leftovers_of_items", {"import_id": REFERENCE}),
    ],
)
def test_a_reference_to_a_variable_is_refused(home, monkeypatch, job, op, config):
    """Otherwise a button could send a secret to the API, or store it as an id."""
    monkeypatch.setenv("PANEL_TOKEN", "panel-token-0123456789")
    found = join_definitions(SOURCES, load_settings()).resolve_job_def(job)
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(found, {"ops": {op: {"config": config}}})


def test_plain_values_and_defaults_are_taken(home):
    found = join_definitions(SOURCES, load_settings()).resolve_job_def("request_items_import")
    given = {"ops": {"write_down_request_for_items": {"config": {"mode": "reschedule"}}}}
    taken = dg.validate_run_config(found, given)["ops"]["write_down_request_for_items"]["config"]
    assert taken == {"mode": "reschedule", "full": False, "fresh": False, "refetch": False, "shards": 0, "reason": ""}
