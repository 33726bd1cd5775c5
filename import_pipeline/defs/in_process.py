"""Running an import's Dagster job in this process: the run, its logs and its events are in the UI afterwards."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.build import join_definitions
from import_pipeline.defs.instance import open_instance
from import_pipeline.defs.run_status import report_dead_run
from import_pipeline.defs.storage.classes import ComputeLogs, translating_errors
from import_pipeline.settings import Settings

#: Our own display speaks; Dagster's log lines go to its event log only.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TRACEBACK_LINE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run that is over. What came of its import stands in the import's row."""

    run_id: str
    error: str | None  #: what broke it and where, in a sentence; None where it ended on purpose
    failure: str | None = None  #: why it failed on purpose


def run_in_process(settings: Settings, sources: Sequence[ImportSource], source: str, import_id: int) -> FinishedRun:
    """Carry the import out through its job, see it to its end.

    Raises DatabaseUnavailable where Dagster's storage goes away before its run has begun.
    """
    definitions = join_definitions(sources, settings)
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
    """Report a Dagster run whose worker is gone as failed, from a process that is no run of Dagster itself."""
    with open_instance(settings) as instance, translating_errors(settings):
        report_dead_run(instance, run_id, reason)


def _unexpected_error(events: Sequence[dg.DagsterEvent]) -> str | None:
    """The first error that nobody raised on purpose: Dagster wraps those, unlike `dg.Failure` and interrupts."""
    for event in events:
        error = event.step_failure_data.error if event.is_step_failure else None
        if error is None or error.cause is None or error.cls_name != dg.DagsterExecutionStepExecutionError.__name__:
            continue
        places = TRACEBACK_LINE.findall("".join(error.cause.stack[-1:]))
        where = "".join(f" ({file}, line {line})" for file, line in places)
        return " ".join(error.cause.message.split()) + where
    return None


def _failure_description(events: Sequence[dg.DagsterEvent]) -> str | None:
    """The description of the first `dg.Failure`."""
    failures = [event.step_failure_data.user_failure_data for event in events if event.is_step_failure]
    return next((failure.description for failure in failures if failure is not None), None)
