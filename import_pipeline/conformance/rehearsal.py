"""An import without its API: a transport answers in place of connections, and secrets may be absent."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from import_pipeline.conformance.quick_clock import QuickClock
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.ratelimit.stores.memory import MemoryPermits
from import_pipeline.rules.status import Trigger
from import_pipeline.settings import Settings, load_settings, variable_prefix
from import_pipeline.settings.endpoint_limits import everywhere
from import_pipeline.tracking import items


def rehearsal_settings(
    sources: Iterable[ImportSource], folder: Path, environment: Mapping[str, str], *, limits: str
) -> Settings:
    """Return settings with all state in the folder, these limits at each endpoint, and short delays of retries.

    `environment` overrides them.
    """
    quick = {"IMPORT_PIPELINE_HOME": str(folder)}
    for each in sources:
        prefix = variable_prefix(each.name)
        quick |= {f"{prefix}BASE_URL": "https://api.test", f"{prefix}BACKOFF": "0.01"}
        quick |= {f"{prefix}LIMITS": everywhere(each.limits, limits)}
    return replace(load_settings({**quick, **environment}, folder), is_rehearsal=True)


def import_through(installation: Installation, name: str, transport: httpx.AsyncBaseTransport) -> ImportSummary:
    """Import the named source, or resume its import, with answers of the transport; refusals make it wait shortly."""
    clock = QuickClock()
    source = installation.source(name)
    row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), installation.clock)
    connect = partial(open_api, source, installation.settings, clock, transport, permits=MemoryPermits(clock))
    return execute_import(ImportRun(installation=installation, source=source, connect=connect), row.id)


def rows_and_failures(
    installation: Installation, model: type[Any], summary: ImportSummary
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the rows of the model's table and the reasons of failed items, each by external id."""
    with installation.database.read() as connection:
        stored = connection.execute(select(model.__table__)).mappings().all()
        failed = items.failures(connection, summary.import_id, limit=len(stored) + (summary.items_count or 0))
    rows = {str(each["external_id"]): dict(each) for each in stored}
    return rows, {each.external_id: each.reason for each in failed}
