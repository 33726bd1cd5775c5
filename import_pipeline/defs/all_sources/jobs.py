"""The control jobs for many sources: their configuration names the source."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.jobs import Target, cancel_job, request_job, retry_job
from import_pipeline.importer.source_loader import find_source


def build_control_jobs(sources: Sequence[ImportSource]) -> list[dg.JobDefinition]:
    """Return a job that requests an import, one that cancels one, and one that retries failed items."""

    def find(config: Mapping[str, Any]) -> ImportSource:
        return find_source(sources, config["source"])

    names_source = {"source": dg.Field(str, description="The name of the source")}
    target = Target(label="a source", find=find, fields=names_source)
    return [
        request_job(names.REQUEST_JOB, "write_down_request", target),
        cancel_job(names.CANCEL_JOB, "cancel_running_import", target),
        retry_job(names.RETRY_JOB, "retry_leftovers", target),
    ]
