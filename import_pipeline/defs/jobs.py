"""Jobs for the launchpad: request an import, cancel the running one, retry the failed and undone items of one."""

from typing import Literal

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

    import_id: int = Field(0, description="Import to retry: its failed and undone items; 0: the latest that ended")
    reason: str = Field("", description="Reason, shown in the import's history")


def build_request_job(source: ImportSource) -> dg.JobDefinition:
    """Return a job that records the request; the sensor starts the import within seconds."""
    name = source.name

    @dg.op(
        name=f"write_down_request_for_{name}",
        description="Record the request; the sensor fulfils it.",
        config_schema=plain_fields(RequestConfig),
    )
    def record_request(context: dg.OpExecutionContext) -> None:
        config = RequestConfig(**context.op_config)
        with masking(), open_for(source) as (installation, found):
            asked = requests.request_import(
                installation,
                found,
                RequestKind(config.mode),
                fresh=config.fresh,
                refetch=config.refetch,
                shards=config.shards or None,
                by=_who(context),
                reason=config.reason or None,
            )
        context.log.info(asked.already or f"Request {asked.id} recorded. The sensor fulfils it within seconds.")

    description = f"Request an import of {name}: an extra one now (new), or the next slot's now (reschedule)."
    return _job_of(record_request, names.request_job(name), description)


def build_cancel_job(source: ImportSource) -> dg.JobDefinition:
    """Return a job that ends the running import within two seconds; what it imported is kept."""
    name = source.name

    @dg.op(
        name=f"cancel_running_import_of_{name}",
        description="Record the cancel request in the import's row.",
        config_schema=plain_fields(CancelConfig),
    )
    def cancel_running(context: dg.OpExecutionContext) -> None:
        config = CancelConfig(**context.op_config)
        with masking(), open_for(source) as (installation, _):
            with installation.database.read() as connection:
                running = imports.running(connection, name)
            if running is None:
                context.log.info("No import of %s is running.", name)
                return
            done = cancellation.cancel(installation, running.id, by=_who(context), reason=config.reason or None)
        context.log.info(done.sentence)

    description = f"Cancel the running import of {name}. Imported items are kept."
    return _job_of(cancel_running, names.cancel_job(name), description)


def build_retry_job(source: ImportSource) -> dg.JobDefinition:
    """Return a job that schedules an import of another import's failed and undone items."""
    name = source.name

    @dg.op(
        name=f"retry_leftovers_of_{name}",
        description="Schedule an import of the failed and undone items.",
        config_schema=plain_fields(RetryConfig),
    )
    def retry_leftovers(context: dg.OpExecutionContext) -> None:
        config = RetryConfig(**context.op_config)
        with masking(), open_for(source) as (installation, _):
            import_id = config.import_id or _latest_ended(installation, name)
            if import_id is None:
                context.log.info("No import of %s has ended yet.", name)
                return
            retried = retries.retry(installation, import_id, by=_who(context), reason=config.reason or None)
        context.log.info(
            retried.already or f"Import {retried.row.id} retries the failed and undone items of import {import_id}."
        )

    description = f"Import the failed and undone items of an import of {name} again."
    return _job_of(retry_leftovers, names.retry_job(name), description)


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
