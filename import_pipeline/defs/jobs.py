"""Jobs for the launchpad: asking for an import, cancelling the running one, retrying what one has left."""

from typing import Literal

import dagster as dg
from pydantic import BaseModel, Field

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.config import plain_fields
from import_pipeline.importer.control import requests
from import_pipeline.importer.installation import Installation, open_for
from import_pipeline.redaction import masking
from import_pipeline.rules.status import ENDED
from import_pipeline.settings.parsers import MOST_WORKERS
from import_pipeline.tracking import imports
from import_pipeline.tracking.requests import RequestKind


class RequestConfig(BaseModel):
    """What is asked for. `new`: an extra import now, the schedule stays. `reschedule`: the next slot's import now."""

    mode: Literal["new", "reschedule"] = Field(
        "new", description="new: an extra import now, the schedule stays; reschedule: the next slot's import now"
    )
    fresh: bool = Field(False, description="Fetch all anew; at the end, delete rows that the list no longer has")
    shards: int = Field(0, ge=0, le=MOST_WORKERS, description="Runs that share a new import; 0: as the source says")
    reason: str = Field("", description="Why, for the import's history")


class CancelConfig(BaseModel):
    """Why the running import is to end."""

    reason: str = Field("", description="Why, for the import's history")


class RetryConfig(BaseModel):
    """Which import's failed or undone items are imported again; 0 means the latest that has ended."""

    import_id: int = Field(0, description="The import; 0: the latest that has ended")
    reason: str = Field("", description="Why, for the import's history")


def build_request_job(source: ImportSource) -> dg.JobDefinition:
    """Writes the wish down; the sensor starts the import within seconds."""
    name = source.name

    @dg.op(
        name=f"write_down_request_for_{name}",
        description="Write the wish down; the sensor sees to it.",
        config_schema=plain_fields(RequestConfig),
    )
    def write_down(context: dg.OpExecutionContext) -> None:
        config = RequestConfig(**context.op_config)
        with masking(), open_for(source) as (installation, found):
            asked = requests.request_run(
                installation,
                found,
                RequestKind(config.mode),
                fresh=config.fresh,
                shards=config.shards or None,
                by=_who(context),
                reason=config.reason or None,
            )
        context.log.info(asked.already or f"Request {asked.id} is recorded; the sensor carries it out within seconds.")

    @dg.job(
        name=names.request_job(name),
        executor_def=dg.in_process_executor,
        description=f"Ask for an import of {name}: an extra one now (new), or the next slot's now (reschedule).",
    )
    def request() -> None:
        write_down()

    return request


def build_cancel_job(source: ImportSource) -> dg.JobDefinition:
    """Ends the running import within two seconds; what it imported is kept."""
    name = source.name

    @dg.op(
        name=f"cancel_running_import_of_{name}",
        description="Write the wish to cancel into the import's row.",
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
            done = requests.cancel(installation, running.id, by=_who(context), reason=config.reason or None)
        context.log.info(done.sentence)

    @dg.job(
        name=names.cancel_job(name),
        executor_def=dg.in_process_executor,
        description=f"Cancel the running import of {name}. What it imported is kept.",
    )
    def cancel() -> None:
        cancel_running()

    return cancel


def build_retry_job(source: ImportSource) -> dg.JobDefinition:
    """Schedules an import of what another one has left; the sensor starts it within seconds."""
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
            retried = requests.retry(installation, import_id, by=_who(context), reason=config.reason or None)
        context.log.info(retried.already or f"Import {retried.row.id} retries what import {import_id} has left.")

    @dg.job(
        name=names.retry_job(name),
        executor_def=dg.in_process_executor,
        description=f"Import again what an import of {name} has left failed or undone.",
    )
    def retry() -> None:
        retry_leftovers()

    return retry


def _latest_ended(installation: Installation, source: str) -> int | None:
    with installation.database.read() as connection:
        rows = imports.latest(connection, source=source, statuses=sorted(ENDED), limit=1)
    return rows[0].id if rows else None


def _who(context: dg.OpExecutionContext) -> str:
    """The user whom Dagster names, where it knows one."""
    return context.run.tags.get("user", "a person in the Dagster UI")
