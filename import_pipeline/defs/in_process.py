"""Run an import's Dagster job in this process. Its run, logs and events are in the UI afterwards."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.instance import open_instance
from import_pipeline.defs.run_status import report_dead_run
from import_pipeline.defs.storage.classes import ComputeLogs, translating_errors
from import_pipeline.importer.source_loader import find_source
from import_pipeline.settings import Settings

#: The command shows its own progress; Dagster's log lines go to the event log only.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TRACEBACK_LINE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A Dagster run that has ended. The row of its import holds the outcome."""

    run_id: str
    error: str | None  #: the unexpected error and its place in the code; None if there was none
    failure: str | None = None  #: the description of a `dg.Failure`


def run_in_process(settings: Settings, sources: Sequence[ImportSource], source: str, import_id: int) -> FinishedRun:
    """Execute the import through its job and wait for the end.

    Raises DatabaseUnavailable if Dagster's storage becomes unreachable before the run has begun.
    """
    definitions = build_import_definitions(find_source(sources, source), settings=settings)
    with open_instance(settings) as instance, translating_errors(settings):
        if isinstance(instance.compute_log_manager, ComputeLogs):
            instance.compute_log_manager.captures = False
        result = definitions.resolve_job_def(names.job(source)).execute_in_process(
            instance=instance,
            tags={names.IMPORT_ID_TAG: str(import_id), names.FOREGROUND_TAG: "true"},
            raise_on_error=False,
            run_config=QUIET,
        )
        return FinishedRun(
            run_id=result.run_id,
            error=_unexpected_error(result.all_events),
            failure=_failure_description(result.all_events),
        )


def report_dead(settings: Settings, run_id: str, reason: str) -> None:
    """Report a Dagster run whose worker is dead as failed, from a process outside of any Dagster run."""
    with open_instance(settings) as instance, translating_errors(settings):
        report_dead_run(instance, run_id, reason)


def _unexpected_error(events: Sequence[dg.DagsterEvent]) -> str | None:
    """Return the first unexpected error: Dagster wraps those, but neither `dg.Failure` nor interrupts."""
    for event in events:
        error = event.step_failure_data.error if event.is_step_failure else None
        if error is None or error.cause is None or error.cls_name != dg.DagsterExecutionStepExecutionError.__name__:
            continue
        places = TRACEBACK_LINE.findall("".join(error.cause.stack[-1:]))
        where = "".join(f" ({file}, line {line})" for file, line in places)
        return " ".join(error.cause.message.split()) + where
    return None


def _failure_description(events: Sequence[dg.DagsterEvent]) -> str | None:
    """Return the description of the first `dg.Failure`."""
    failures = [event.step_failure_data.user_failure_data for event in events if event.is_step_failure]
    return next((failure.description for failure in failures if failure is not None), None)
