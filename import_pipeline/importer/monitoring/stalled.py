"""Stalled imports: running imports whose worker is dead, with the evidence and the next step."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.lifecycle.state import ExternalFacts, state_of, stored_facts
from import_pipeline.importer.lifecycle.workers import lease_seconds_of, liveness, living_shards
from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES, resume_limit_reason
from import_pipeline.rules.scheduling import RUN_START, End, Fail, Resume, Wait, decide_running
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import resumes
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.queries import ImportSnapshot


@dataclass(frozen=True, kw_only=True)
class StalledImport:
    """A stalled import. Texts are sentences without a full stop."""

    evidence: str  #: the signs of the dead worker
    next_step: str  #: the next action, and its time
    since: datetime | None  #: the moment since which no worker works on it; None: its shards still do


def stalled_import(
    connection: Connection, found: ImportSnapshot, source: ImportSource | None, now: datetime
) -> StalledImport | None:
    """Return the stalled import; None if the import is not running, or its worker is not known to be dead.

    `source`: None if it is no longer listed; then the default lease applies. The connection reads only the progress
    since the latest resume of a stalled import: that scans its items, so a snapshot does not have it.
    """
    row = found.row
    if row.status is not ImportStatus.RUNNING:
        return None
    worker = liveness(row, lease_seconds_of(source))
    if not worker.is_dead(now):
        return None
    shards_work = any(living_shards(found.shards, worker.lease_seconds, now).values())
    return StalledImport(
        evidence=_evidence(row, worker) + ("; its shards continue" if shards_work else ""),
        next_step=_next_step(connection, found, source, now),
        since=None if shards_work else found.last_activity,
    )


def _unstarted_run_since(row: ImportRow, now: datetime) -> datetime | None:
    """Return when a run was requested that should have begun by now; None without one."""
    asked, heard = row.run_requested_at, row.heartbeat_at
    if asked is None or (heard is not None and asked <= heard) or now - asked < RUN_START:
        return None
    return asked


def _evidence(row: ImportRow, worker: Liveness) -> str:
    if (error := resumes.worker_error(row)) is not None:
        return f"its process broke off with {error}"
    if not worker.has_owner:
        return "its process released it"
    who = f"process {row.pid} on {row.host}"
    if worker.process_alive is False:
        return f"{who} is dead"
    return f"{who} has sent no heartbeat for over {worker.lease_seconds:g} s"


def _next_step(connection: Connection, found: ImportSnapshot, source: ImportSource | None, now: datetime) -> str:
    row = found.row
    if source is None:
        return f"Its source is no longer listed, so it is not resumed; `import-pipeline cancel {row.id}` ends it"
    run = f"`import-pipeline run {source.name}`"
    wait = found.wait.reason if found.wait is not None and found.wait.until is None else None  # the store's wait
    sensor = "Dagster's sensor, if it runs, resumes it"
    stored = stored_facts(connection, row, found.shards)
    state = state_of(stored, source, ExternalFacts(waits_for=wait), now)
    match decision := decide_running(state, now):
        case Resume() if (since := _unstarted_run_since(row, now)) is not None:
            return (
                f"Stalled: a run to resume it was requested at {since:%H:%M:%S} UTC and has not begun. Check that "
                f"Dagster's queue has a free slot and that its launcher works; {run} resumes it immediately"
            )
        case Resume(counts=counts):
            count = f" (resume {state.resumes + 1} of {MAX_RESUMES} without progress)"
            resume = count if counts else ""
            return f"{sensor} within seconds; {run} resumes it immediately{resume}"
        case Fail():
            reason = resume_limit_reason(state.resumes, state.worker_error)
            return f"Dagster's sensor, or {run}, ends it as failed: it was {reason}"
        case End():
            return f"Dagster's sensor, or `import-pipeline start-scheduled {source.name}`, ends it as cancelled"
        case Wait(reason=reason) if wait is not None and wait in reason:
            waits = reason.removesuffix(".")
            if state.resumes >= MAX_RESUMES and state.worker_error is not None:
                return f"{waits}. If it answers Dagster's sensor, the sensor ends the import as failed"
            return f"{waits}. Once it answers, {sensor}; so does {run}"
    return decision.reason.removesuffix(".")
