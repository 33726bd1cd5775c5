"""Imports whose source this installation does not list (any more): ending one needs its row only."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import LeaseLost
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.workers import worker_states
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import events, imports, transitions
from import_pipeline.tracking.imports import ImportRow

#: Imports that are looked at; a source has one running import at most.
MOST = 100
REASON = "it was to be cancelled, and its worker is gone"


def of_unlisted(connection: Connection, names: Iterable[str]) -> list[ImportRow]:
    """The scheduled and running imports of all other sources, the newest first."""
    known = set(names)
    unended = imports.latest(connection, statuses=(ImportStatus.SCHEDULED, ImportStatus.RUNNING), limit=MOST)
    return [row for row in unended if row.source not in known]


def end_cancelled(installation: Installation, own: str) -> list[str]:
    """End the imports of other sources that a person cancelled and that have no worker.

    Their own sensor does so as well, if there is one. Returns the Dagster runs to report as failed.
    """
    now = installation.clock.now()
    with installation.database.read() as connection:
        running = imports.latest(connection, statuses=(ImportStatus.RUNNING,), limit=MOST)
        asked = [row for row in running if row.source != own and row.cancel_requested_at is not None]
        stalled = [
            row
            for row in asked
            if not any(worker_states(connection, row.id, lease_of(installation, row), now).values())
        ]
    ended = []
    for row in stalled:
        try:
            installation.transact(partial(_end, row=row, now=now))
        except LeaseLost:
            continue  # a process resumed or ended it at this moment
        ended += [row.dagster_run_id] if row.dagster_run_id else []
    return ended


def _end(connection: Connection, row: ImportRow, now: datetime) -> None:
    transitions.end_stalled(connection, row, now, ImportStatus.CANCELLED, REASON)
    events.note(connection, row.id, now, "import_cancelled", f"Cancelled: {REASON}.")


def lease_of(installation: Installation, row: ImportRow) -> float:
    """The lease of the import's source; the default one if it is not listed."""
    return next((each.lease for each in installation.sources if each.name == row.source), ImportSource.lease)
