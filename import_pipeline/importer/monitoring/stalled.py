"""Running imports whose worker is gone: how one can tell, and what becomes of them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.lifecycle.state import ExternalFacts, state_of
from import_pipeline.importer.lifecycle.workers import liveness, living_shards
from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES, resume_limit_reason
from import_pipeline.rules.scheduling import RUN_START, End, Fail, Resume, Wait, decide_running
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import events, heartbeats, resumes
from import_pipeline.tracking.imports import ImportRow


@dataclass(frozen=True, kw_only=True)
class StalledImport:
    """What is said of such an import, in sentences without their full stops."""

    evidence: str  #: how one can tell
    next_step: str  #: what happens next, and when
    since: datetime | None  #: from when on nobody works on it; None: its shards do


def stalled_import(
    connection: Connection, row: ImportRow, source: ImportSource | None, now: datetime
) -> StalledImport | None:
    """None where the import does not run, or the process that carries it out lives as far as can be told from here.

    `source` is None where it is not listed any more; then the default lease is assumed.
    """
    if row.status is not ImportStatus.RUNNING:
        return None
    worker = liveness(row, ImportSource.lease if source is None else source.lease)
    if not worker.is_dead(now):
        return None
    shards_work = any(living_shards(connection, row.id, worker.lease_seconds, now).values())
    return StalledImport(
        evidence=_evidence(row, worker) + ("; its shards go on" if shards_work else ""),
        next_step=_next_step(connection, row, source, now),
        since=None if shards_work else heartbeats.stalled_since(connection, row),
    )


def _stalled_since(row: ImportRow, now: datetime) -> datetime | None:
    """When a run was asked for that should have begun by now; None where none was."""
    asked, heard = row.run_requested_at, row.heartbeat_at
    if asked is None or (heard is not None and asked <= heard) or now - asked < RUN_START:
        return None
    return asked


def _evidence(row: ImportRow, worker: Liveness) -> str:
    if (error := resumes.worker_error(row)) is not None:
        return f"its process broke off with {error}"
    if not worker.has_owner:
        return "its process has left it to another one"
    who = f"process {row.pid} on {row.host}"
    if worker.process_alive is False:
        return f"{who} is gone"
    return f"{who} has given no sign of life for over {worker.lease_seconds:g} s"


def _next_step(connection: Connection, row: ImportRow, source: ImportSource | None, now: datetime) -> str:
    if source is None:
        return f"Its source is not listed any more, so it is not resumed; `import-pipeline cancel {row.id}` ends it"
    run = f"`import-pipeline run {source.name}`"
    wait = events.waits_for_store(connection, row.id)
    sensor = "Dagster's sensor, where it runs, goes on with it"
    state = state_of(connection, row, source, ExternalFacts(waits_for=wait), now)
    match decision := decide_running(state, now):
        case Resume() if (since := _stalled_since(row, now)) is not None:
            return (
                f"Stalled: a run to resume it was asked for at {since:%H:%M:%S} UTC and has not begun. Check that "
                f"Dagster's queue has a free slot and that its launcher works; {run} resumes it at once"
            )
        case Resume(counts=counts):
            count = f" (resume {state.resumes + 1} of {MAX_RESUMES} without progress)"
            resume = count if counts else ""
            return f"{sensor} within seconds, and {run} does at once{resume}"
        case Fail():
            reason = resume_limit_reason(state.resumes, state.worker_error)
            return f"Dagster's sensor, or {run}, ends it as failed: it was {reason}"
        case End():
            return f"Dagster's sensor, or `import-pipeline start-scheduled {source.name}`, ends it as cancelled"
        case Wait(reason=reason) if wait is not None and wait in reason:
            waits = reason.removesuffix(".")
            if state.resumes >= MAX_RESUMES and state.worker_error is not None:
                return f"{waits}. If it answers Dagster's sensor, the sensor ends the import as failed"
            return f"{waits}. Once it is back, {sensor}, and {run} does"
    return decision.reason.removesuffix(".")
