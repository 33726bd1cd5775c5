"""Run an import from a Python program, without Dagster."""

import asyncio
from collections.abc import Sequence

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import UsageError
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.wait_for_turn import Turn
from import_pipeline.importer.source_loader import configure
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.rules.status import Trigger
from import_pipeline.settings import Settings, load_settings


def refuse_running_loop(function: str) -> None:
    """Raise UsageError inside a running event loop: an import needs its own loop, and would block that one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        f"{function} cannot be called inside a running event loop: use `await asyncio.to_thread({function}, ...)`"
    )


def run_import(
    source: str,
    *,
    fresh: bool = False,
    refetch: bool = False,
    full: bool = False,
    limit: int | None = None,
    only: Sequence[str] = (),
    settings: Settings | None = None,
    sources: Sequence[ImportSource] | None = None,
) -> ImportSummary:
    """Import the named source in this process; a stalled import of it is resumed.

    `fresh` fetches every item again, and finally deletes the rows that the list no longer has. `refetch` fetches every
    item again and deletes nothing. `full` reads the whole list, although there is a bookmark. `limit` stops after that
    many items of the list. `only` imports just these ids, and waits up to the source's `wait` for a running import. A
    stalled import that does something else is resumed first. Settings default to the environment, sources to the list
    that the settings name. The summary's status says whether the import completed, failed or was cancelled.

    Raises UsageError, ImportAlreadyRunning or DatabaseUnavailable. After ImportInterrupted (SIGINT, SIGTERM) or
    LimiterUnavailable (the rate-limit store does not answer), the next call resumes the import.
    """
    refuse_running_loop("run_import")
    settings = settings or load_settings()
    listed = None if sources is None else configure(sources, settings)
    with open_installation(settings, listed) as installation:
        found = installation.source(source)
        new = new_import(found, Trigger.CLI, full=full, fresh=fresh, refetch=refetch, limit=limit, only=only)
        return Turn(installation, found, new).execute(
            lambda row, is_requested: execute_import(ImportRun(installation=installation, source=found), row.id)
        )
