"""Jobs for the launchpad: request an import, cancel the running one, retry the failed and undone items of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg
from pydantic import BaseModel, Field

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.config import plain_fields
from import_pipeline.importer.control import cancellation, requests, retries
from import_pipeline.importer.installation import Installation, open_for
from import_pipeline.redaction import masking
from import_pipeline.rules.status import ENDED
from import_pipeline.settings.parsers import MOST_WORKERS
from import_pipeline.tracking import imports
from import_pipeline.tracking.requests import RequestKind


class RequestConfig(BaseModel):
    """The configuration of `request_<source>_import`.

    `new` requests an extra import and leaves the schedule as it is. `reschedule` starts the next slot's import now.
    """

    mode: Literal["new", "reschedule"] = Field(
        "new", description="new: an extra import now; reschedule: the next slot's import now instead of at its slot"
    )
    full: bool = Field(False, description="Read the whole list of a new import, although there is a bookmark")
    fresh: bool = Field(
        False, description="Fetch every item again; at the end, delete rows that the list no longer has"
    )
    refetch: bool = Field(False, description="Fetch every item again, unchanged ones too; delete nothing")
    shards: int = Field(
        0,
        ge=0,
        le=MOST_WORKERS,
        description="Number of runs that work on a new import together; 0: the source's own number",
    )
    reason: str = Field("", description="Reason, shown in the import's history")


class CancelConfig(BaseModel):
    """The configuration of `cancel_<source>_import`."""

    reason: str = Field("", description="Reason, shown in the import's history")


class RetryConfig(BaseModel):
    """The configuration of `retry_<source>_import`."""

    import_id: int = Field(0, description="Import to retry: what it left failed or undone; 0: the latest that ended")
    reason: str = Field("", description="Reason, shown in the import's history")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The source that a control job is about: always the same, or the one that its configuration names."""

    label: str  #: as descriptions name it
    find: Callable[[Mapping[str, Any]], ImportSource]
    fields: Mapping[str, dg.Field] = field(default_factory=dict)  #: further fields of the configuration


def target_of(source: ImportSource) -> Target:
    """Return the target of a source's own job."""
    return Target(label=source.name, find=lambda config: source)


def starts(source: str) -> str:
    """Return the sentence about what starts a requested import."""
    by_hand = f"`import-pipeline start-scheduled {source}`"
    return f"The sensor starts it within seconds while Dagster's daemon runs; otherwise run {by_hand}."


def build_request_job(source: ImportSource) -> dg.JobDefinition:
    """Return a job that records the request; the sensor starts the import."""
    return request_job(names.request_job(source.name), f"write_down_request_for_{source.name}", target_of(source))


def build_cancel_job(source: ImportSource) -> dg.JobDefinition:
    """Return a job that ends the running import within two seconds; what it imported is kept."""
    return cancel_job(names.cancel_job(source.name), f"cancel_running_import_of_{source.name}", target_of(source))


def build_retry_job(source: ImportSource) -> dg.JobDefinition:
    """Return a job that schedules an import of another import's failed and undone items and slices."""
    return retry_job(names.retry_job(source.name), f"retry_leftovers_of_{source.name}", target_of(source))


def request_job(name: str, operation: str, target: Target) -> dg.JobDefinition:
    """Return the job that records a request for an import of the target."""

    @dg.op(
        name=operation,
        description="Record the request; the sensor fulfils it.",
        config_schema=plain_fields(RequestConfig) | dict(target.fields),
    )
    def record_request(context: dg.OpExecutionContext) -> None:
        config = RequestConfig(**context.op_config)
        with masking(), open_for(target.find(context.op_config)) as (installation, found):
            asked = requests.request_import(
                installation,
                found,
                RequestKind(config.mode),
                full=config.full,
                fresh=config.fresh,
                refetch=config.refetch,
                shards=config.shards or None,
                by=_who(context),
                reason=config.reason or None,
            )
        context.log.info(asked.already or f"Request {asked.id} recorded. {starts(found.name)}")

    description = f"Request an import of {target.label}: an extra one now (new), or the next slot's now (reschedule)."
    return _job_of(record_request, name, description)


def cancel_job(name: str, operation: str, target: Target) -> dg.JobDefinition:
    """Return the job that cancels the running import of the target."""

    @dg.op(
        name=operation,
        description="Record the cancel request in the import's row.",
        config_schema=plain_fields(CancelConfig) | dict(target.fields),
    )
    def cancel_running(context: dg.OpExecutionContext) -> None:
        config = CancelConfig(**context.op_config)
        with masking(), open_for(target.find(context.op_config)) as (installation, found):
            with installation.database.read() as connection:
                running = imports.running(connection, found.name)
            if running is None:
                context.log.info("No import of %s is running.", found.name)
                return
            done = cancellation.cancel(installation, running.id, by=_who(context), reason=config.reason or None)
        context.log.info(done.sentence)

    return _job_of(cancel_running, name, f"Cancel the running import of {target.label}. Imported items are kept.")


def retry_job(name: str, operation: str, target: Target) -> dg.JobDefinition:
    """Return the job that imports failed and undone items and slices of the target again."""

    @dg.op(
        name=operation,
        description="Schedule an import of the failed and undone items and slices.",
        config_schema=plain_fields(RetryConfig) | dict(target.fields),
    )
    def retry_leftovers(context: dg.OpExecutionContext) -> None:
        config = RetryConfig(**context.op_config)
        with masking(), open_for(target.find(context.op_config)) as (installation, found):
            import_id = config.import_id or _latest_ended(installation, found.name)
            if import_id is None:
                context.log.info("No import of %s has ended yet.", found.name)
                return
            retried = retries.retry(installation, import_id, by=_who(context), reason=config.reason or None)
        made = f"Import {retried.row.id} retries what import {import_id} left failed or undone."
        context.log.info(retried.already or f"{made} {starts(found.name)}")

    description = f"Import the failed and undone items and slices of an import of {target.label} again."
    return _job_of(retry_leftovers, name, description)


def _job_of(op: dg.OpDefinition, name: str, description: str) -> dg.JobDefinition:
    """Return a job of that one op, executed in the process of its run."""

    @dg.job(name=name, executor_def=dg.in_process_executor, description=description)
    def job() -> None:
        op()

    return job


def _latest_ended(installation: Installation, source: str) -> int | None:
    with installation.database.read() as connection:
        rows = imports.latest(connection, source=source, statuses=sorted(ENDED), limit=1)
    return rows[0].id if rows else None


def _who(context: dg.OpExecutionContext) -> str:
    """Return the user that Dagster names, if it knows one."""
    return context.run.tags.get("user", "a person in the Dagster UI")
