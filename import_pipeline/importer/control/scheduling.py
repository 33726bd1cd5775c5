"""Apply the scheduling rules in one tick, for the sensor, the schedule and the command line.

Each decision is one guarded statement, so any number of concurrent ticks starts an import once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import LeaseLost
from import_pipeline.importer.control.requests import fulfil
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.acquire import count_heartbeat_as_now
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.state import ExternalFacts, RequestedRun, RunState, state_of, stored_facts
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.rules.scheduling import (
    RUN_START,
    Cancel,
    Decision,
    End,
    Fail,
    ImportState,
    Resume,
    Schedule,
    Start,
    decide,
    missed_slots,
    upcoming_slots,
)
from import_pipeline.rules.slots import end_of_off_time
from import_pipeline.rules.status import ENDED, ImportStatus, Trigger
from import_pipeline.tracking import events, imports, requests, schedules, scheduling, transitions
from import_pipeline.tracking.imports import ImportRow

#: A sensor ticks every few seconds; after this time without a tick, none runs.
SENSOR_SILENCE = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A run to request; the former Dagster run of the import is reported as failed first."""

    import_id: int
    reason: str
    dead_run_id: str | None = None


@dataclass(kw_only=True)
class Tick:
    """The result of a tick: runs to launch, dead runs to report as failed, and the decisions as sentences."""

    launches: list[Launch] = field(default_factory=list)
    dead_run_ids: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


#: Import's id -> state of the requested run.
RequestedRuns = Mapping[int, RequestedRun]


def tick(
    installation: Installation,
    source: ImportSource,
    *,
    schedule_is_on: bool = True,
    on_since: datetime | None = None,
    has_seen_schedule: bool = True,
    run_state_of: Callable[[str], RunState] = lambda run_id: RunState.ALIVE,
    requested_run: Callable[[int, datetime], RequestedRun] = lambda import_id, since: RequestedRun.UNKNOWN,
) -> Tick:
    """Fulfil the waiting requests, apply the scheduling rules, and return the runs to launch.

    `on_since`: when a person last switched the schedule on, if the caller knows. `has_seen_schedule`: False if the
    caller did not read the schedule's switch itself but repeats what another process recorded. `run_state_of(run_id)`:
    the state of the Dagster run that works on the import. `requested_run(import_id, since)`: the state of the run of
    that import that was requested then.
    """
    count_heartbeat_as_now(installation.database, source.name, installation.clock)
    now = installation.clock.now()
    seen = _gather_facts(installation, source, run_state_of)
    answers = _check_requested_runs(installation, source, now, requested_run)

    def unit(connection: Connection) -> Tick:
        result, off_until = Tick(), None
        if has_seen_schedule:
            off_until = _record_schedule(connection, source, now, is_on=schedule_is_on, on_since=on_since)
        for request in requests.waiting(connection, source.name):
            outcome = fulfil(connection, source, request, now)
            if outcome is not None:
                result.sentences.append(outcome)
        rows, states = _read_states(connection, source, seen, now, answers)
        for missed in missed_slots(states, source.timetable, now, off_until=off_until) if schedule_is_on else []:
            _apply(connection, source, missed, {}, now, result)
            rows, states = _read_states(connection, source, seen, now, answers)
        decisions = decide(states, source.timetable, now, schedule_is_on=schedule_is_on, off_until=off_until)
        for decision in decisions:
            _apply(connection, source, decision, {row.id: row for row in rows}, now, result)
        return result

    return installation.transact(unit)


def _record_schedule(
    connection: Connection, source: ImportSource, now: datetime, *, is_on: bool, on_since: datetime | None
) -> datetime | None:
    """Record if the schedule is on. Return the end of its off time at the first tick after it; else None."""
    if not is_on:
        schedules.record_off(connection, source.name, now)
        return None
    seen_off_at = schedules.record_on(connection, source.name)
    return None if seen_off_at is None else end_of_off_time(seen_off_at, on_since, now)


def is_off_now(installation: Installation, source: ImportSource) -> bool:
    """Return True if a sensor has just recorded that the schedule is off. Without a sensor, cron follows the slots."""
    with installation.database.read() as connection:
        seen = schedules.off_seen_at(connection, source.name)
    return seen is not None and abs(installation.clock.now() - seen) < SENSOR_SILENCE


def upcoming_slots_of(connection: Connection, source: ImportSource, now: datetime, most: int) -> list[datetime]:
    """Return the next slots that are not spent, at most `most`."""
    _, states = _read_states(connection, source, ExternalFacts(), now)
    return list(islice(upcoming_slots(states, source.timetable, now), most))


def _gather_facts(
    installation: Installation, source: ImportSource, run_state_of: Callable[[str], RunState]
) -> ExternalFacts:
    """Read the state of the running import's Dagster run, and if the rate-limit store that it waits for answers."""
    with installation.database.read() as connection:
        running = imports.running(connection, source.name)
        if running is None:
            return ExternalFacts()
        wait = events.waits_for_store(connection, running.id)
    run_id = running.dagster_run_id
    return ExternalFacts(
        running=running,
        run_state=RunState.ALIVE if run_id is None else run_state_of(run_id),
        waits_for=None if wait is None or _store_answers(installation, source) else wait,
        monotonic=installation.clock.monotonic(),
    )


def _check_requested_runs(
    installation: Installation,
    source: ImportSource,
    now: datetime,
    requested_run: Callable[[int, datetime], RequestedRun],
) -> RequestedRuns:
    """Read the state of requested runs that should have begun their import by now."""
    with installation.database.read() as connection:
        rows = scheduling.open_imports(connection, source.name, now)
    return {
        row.id: requested_run(row.id, row.run_requested_at)
        for row in rows
        if row.status not in ENDED
        and row.run_requested_at is not None
        and now - row.run_requested_at >= RUN_START
        and (row.heartbeat_at is None or row.run_requested_at > row.heartbeat_at)
    }


def _store_answers(installation: Installation, source: ImportSource) -> bool:
    usage_reader = UsageReader(settings=installation.settings, clock=installation.clock)
    try:
        return usage_reader.usage(source) is not None
    finally:
        usage_reader.close()


def _read_states(
    connection: Connection,
    source: ImportSource,
    seen: ExternalFacts,
    now: datetime,
    answers: RequestedRuns | None = None,
) -> tuple[list[ImportRow], list[ImportState]]:
    """Read the rows and their states for the rules. Facts count only for the worker that they were gathered for."""
    rows = scheduling.open_imports(connection, source.name, now)
    return rows, [
        state_of(
            stored_facts(connection, row),
            source,
            seen if _has_same_worker(row, seen.running) else ExternalFacts(),
            now,
            (answers or {}).get(row.id, RequestedRun.UNKNOWN),
        )
        for row in rows
    ]


def _has_same_worker(row: ImportRow, seen: ImportRow | None) -> bool:
    """Return True if the import still has the worker that it had when the facts were gathered."""
    return seen is not None and (row.id, row.fence) == (seen.id, seen.fence)


def _apply(
    connection: Connection,
    source: ImportSource,
    decision: Decision,
    seen: Mapping[int, ImportRow],
    now: datetime,
    result: Tick,
) -> None:
    """Apply one decision; skip it silently if the import has changed since it was read."""
    match decision:
        case Schedule(slot_at=slot_at):
            if not scheduling.create_slot(connection, new_import(source, Trigger.SCHEDULE, slot_at=slot_at), now):
                return
        case Cancel(import_id=import_id, reason=reason):
            if not scheduling.cancel_scheduled(connection, import_id, now, reason):
                return
            events.note(connection, import_id, now, "import_cancelled", reason)
        case Start(import_id=import_id, reason=reason):
            if not scheduling.claim_run(connection, seen[import_id], now, RUN_START):
                return
            events.note(connection, import_id, now, events.RUN_REQUESTED, reason)
            result.launches.append(Launch(import_id=import_id, reason=reason))
        case Resume(import_id=import_id, dead_run_id=dead_run_id, reason=reason, run_ended=run_ended):
            if not scheduling.claim_run(connection, seen[import_id], now, RUN_START):
                return
            if run_ended:
                transitions.count_failed_start(connection, seen[import_id], "the requested run ended before it began")
            events.note(connection, import_id, now, events.RUN_REQUESTED, reason)
            result.launches.append(Launch(import_id=import_id, reason=reason, dead_run_id=dead_run_id))
        case Fail(import_id=import_id) | End(import_id=import_id):
            if not _end(connection, decision, seen[import_id], now, result):
                return
    result.sentences.append(decision.reason)


def _end(connection: Connection, decision: Fail | End, row: ImportRow, now: datetime, result: Tick) -> bool:
    """End a stalled import; False if another process changed it first."""
    status = ImportStatus.FAILED if isinstance(decision, Fail) else ImportStatus.CANCELLED
    try:
        transitions.end_stalled(connection, row, now, status, decision.reason)
    except LeaseLost:
        return False
    events.note(connection, row.id, now, f"import_{status}", decision.reason)
    if decision.dead_run_id:
        result.dead_run_ids.append(decision.dead_run_id)
    return True
