"""What an import and its Dagster run tell each other about ending."""

from collections.abc import Mapping

import dagster as dg

from import_pipeline.importer.schedule import RunFate

WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
CANCELLED = frozenset({dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED})


def fate_of(instance: dg.DagsterInstance, run_id: str) -> RunFate:
    """What became of the run, as far as Dagster knows."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return RunFate.GONE
    if run.status is dg.DagsterRunStatus.CANCELED:
        return RunFate.CANCELLED
    return RunFate.GONE if run.is_finished else RunFate.ALIVE


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


def was_given_up(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run was reported as failed while its process was frozen: it shall not end as a success after that."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status is dg.DagsterRunStatus.FAILURE
