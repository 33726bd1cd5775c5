"""What an import and its Dagster run tell each other about ending."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from import_pipeline.defs import names
from import_pipeline.importer.lifecycle.state import RequestedRun, RunState

WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
#: A run that was launched begins within that time, or not at all: Dagster's own default.
START_TIMEOUT = timedelta(seconds=180)
CANCELLED = frozenset({dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED})


def run_state(instance: dg.DagsterInstance, run_id: str) -> RunState:
    """What became of the run, as far as Dagster knows."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return RunState.GONE
    if run.status is dg.DagsterRunStatus.CANCELED:
        # A terminated shard ends itself only, also one that leads.
        return RunState.GONE if names.IMPORT_SHARD_TAG in run.tags else RunState.CANCELLED
    return RunState.GONE if run.is_finished else RunState.ALIVE


def requested_run(instance: dg.DagsterInstance, job: str, import_id: int, since: datetime) -> RequestedRun:
    """The outcome of the run of the import that was asked for then."""
    wanted = dg.RunsFilter(job_name=job, tags={names.IMPORT_ID_TAG: str(import_id)}, created_after=since)
    records = instance.get_run_records(wanted, limit=1)
    if not records:
        return RequestedRun.UNKNOWN
    run = records[0].dagster_run
    if run.is_finished:
        return RequestedRun.ENDED
    silent_for = datetime.now(UTC) - records[0].update_timestamp.replace(tzinfo=UTC)
    if run.status is not dg.DagsterRunStatus.QUEUED and silent_for > START_TIMEOUT:
        return RequestedRun.UNKNOWN  # its launcher or its host has lost it
    return RequestedRun.QUEUED


def is_queued(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> bool:
    """Whether a run with those tags is yet to begin."""
    return bool(instance.get_runs(dg.RunsFilter(tags=tags, statuses=WAITING), limit=1))


def is_cancelled(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether somebody terminated the run, as opposed to its process having been told to end."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in CANCELLED


def end_as_cancelled(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let a run whose import was cancelled end as cancelled itself, not as failed."""
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status not in CANCELLED:
        instance.report_run_canceling(run, "The import was cancelled.")


def report_dead_run(instance: dg.DagsterInstance, run_id: str, reason: str) -> None:
    """End a run whose worker is gone: it would stay started for ever, and hold its place in the queue."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, reason)


def was_reported_dead(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run was reported as failed while its process was frozen: it shall not end as a success after that."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status is dg.DagsterRunStatus.FAILURE
