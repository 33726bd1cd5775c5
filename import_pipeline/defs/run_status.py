"""The state of Dagster runs, and the ways an import and its run end each other."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from import_pipeline.defs import names
from import_pipeline.importer.lifecycle.state import RequestedRun, RunState

WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
#: A launched run that has not begun after this time never will: Dagster's own default.
START_TIMEOUT = timedelta(seconds=180)
CANCELLED = frozenset({dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED})


def run_state(instance: dg.DagsterInstance, run_id: str) -> RunState:
    """Return the state of the run, from Dagster's point of view."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return RunState.GONE
    if run.status is dg.DagsterRunStatus.CANCELED:
        # Terminating a shard ends only that shard, even if it leads the import.
        return RunState.GONE if names.IMPORT_SHARD_TAG in run.tags else RunState.CANCELLED
    return RunState.GONE if run.is_finished else RunState.ALIVE


def requested_run(instance: dg.DagsterInstance, job: str, import_id: int, since: datetime) -> RequestedRun:
    """Return the state of the latest run that was requested for the import after `since`."""
    wanted = dg.RunsFilter(job_name=job, tags={names.IMPORT_ID_TAG: str(import_id)}, created_after=since)
    records = instance.get_run_records(wanted, limit=1)
    if not records:
        return RequestedRun.UNKNOWN
    run = records[0].dagster_run
    if run.is_finished:
        return RequestedRun.ENDED
    silent_for = datetime.now(UTC) - records[0].update_timestamp.replace(tzinfo=UTC)
    if run.status is not dg.DagsterRunStatus.QUEUED and silent_for > START_TIMEOUT:
        return RequestedRun.UNKNOWN  # its launcher or host lost it
    return RequestedRun.QUEUED


def is_queued(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> bool:
    """Return True if a run with those tags has not begun yet."""
    return bool(instance.get_runs(dg.RunsFilter(tags=tags, statuses=WAITING), limit=1))


def is_cancelled(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return True if a person terminated the run. A process that only got a signal does not count."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in CANCELLED


def end_as_cancelled(instance: dg.DagsterInstance, run_id: str) -> None:
    """Mark the run of a cancelled import as cancelled, so that it does not end as failed."""
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status not in CANCELLED:
        instance.report_run_canceling(run, "The import was cancelled.")


def report_dead_run(instance: dg.DagsterInstance, run_id: str, reason: str) -> None:
    """Report a run whose worker is dead as failed. Otherwise it stays started and keeps its slot in the queue."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, reason)


def was_reported_dead(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return True if the run was reported as failed while its process was frozen. It must not end as a success."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status is dg.DagsterRunStatus.FAILURE
