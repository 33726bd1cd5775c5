"""The state of requested runs and of working runs in Dagster."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from import_pipeline.defs import names
from import_pipeline.defs.run_status import requested_run, run_state
from import_pipeline.importer.lifecycle.state import RequestedRun, RunState

STATUS = dg.DagsterRunStatus


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def add(instance, status, job="import_items", **tags):
    run = dg.DagsterRun(job_name=job, status=status, tags={names.IMPORT_ID_TAG: "7", **tags})
    instance.run_storage.add_run(run)
    return run.run_id


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (STATUS.NOT_STARTED, RequestedRun.QUEUED),
        (STATUS.STARTING, RequestedRun.QUEUED),
        (STATUS.STARTED, RequestedRun.QUEUED),
        (STATUS.FAILURE, RequestedRun.ENDED),
        (STATUS.CANCELED, RequestedRun.ENDED),
        (STATUS.SUCCESS, RequestedRun.ENDED),
    ],
)
def test_a_requested_run_is_queued_or_has_ended(instance, status, asked):
    add(instance, status)
    assert requested_run(instance, "import_items", 7, datetime.now(UTC) - timedelta(minutes=1)) is asked


def test_runs_of_other_imports_of_shards_and_earlier_ones_are_not_the_requested_one(instance):
    before = datetime.now(UTC) - timedelta(minutes=1)
    add(instance, STATUS.STARTING, job="enrich_items_shard")
    add(instance, STATUS.STARTING, **{names.IMPORT_ID_TAG: "8"})
    assert requested_run(instance, "import_items", 7, before) is RequestedRun.UNKNOWN
    add(instance, STATUS.FAILURE)
    assert requested_run(instance, "import_items", 7, datetime.now(UTC) + timedelta(minutes=1)) is RequestedRun.UNKNOWN


def test_a_terminated_run_cancels_its_import_and_a_terminated_shard_only_itself(instance):
    lead = add(instance, STATUS.CANCELED)
    shard = add(instance, STATUS.CANCELED, job="enrich_items_shard", **{names.IMPORT_SHARD_TAG: "2"})
    assert (run_state(instance, lead), run_state(instance, shard)) == (RunState.CANCELLED, RunState.GONE)
