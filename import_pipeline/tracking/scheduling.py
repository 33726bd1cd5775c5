"""The schedule's statements on import rows: create slots, request runs once, adopt, move, cancel, delete.

The other statements on imports and items are in `imports`, `list_pages` and `claims`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, not_, or_, select, union, update

from import_pipeline.rules.status import ENDED, UNENDED, ImportStatus, Trigger
from import_pipeline.tracking import events
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.imports import ImportRow, NewImport, rows
from import_pipeline.tracking.tables import imports
from import_pipeline.tracking.workers import Worker

_UNENDED = imports.c.status.in_(UNENDED)


@dataclass(frozen=True, kw_only=True)
class OpenImport:
    """A scheduled or running import, as far as the need for a tick depends on it."""

    id: int
    status: ImportStatus
    scheduled_at: datetime | None


def open_by_source(connection: Connection) -> dict[str, tuple[OpenImport, ...]]:
    """Return the scheduled and running imports of all sources."""
    columns = (imports.c.source, imports.c.id, imports.c.status, imports.c.scheduled_at)
    found: dict[str, list[OpenImport]] = {}
    for row in connection.execute(select(*columns).where(_UNENDED).order_by(imports.c.id)):
        status = ImportStatus(row.status)
        found.setdefault(row.source, []).append(OpenImport(id=row.id, status=status, scheduled_at=row.scheduled_at))
    return {source: tuple(some) for source, some in found.items()}


def create_slot(connection: Connection, new: NewImport, now: datetime) -> bool:
    """Create the scheduled import of a slot; False if the slot has one already, or is spent.

    If a rule cancelled the slot's import before it started, that one is scheduled again.
    """
    if _reinstate(connection, new, now):
        return True
    statement = insert_into(connection, imports).values(
        source=new.source,
        importable_type=new.importable_type,
        kind=new.kind,
        trigger=new.trigger,
        slot_at=new.slot_at,
        scheduled_at=new.slot_at,
        metadata=new.options.dump(),
        created_at=now,
        updated_at=now,
    )
    return bool(
        connection.execute(statement.on_conflict_do_nothing(index_elements=["source", "slot_at"])).rowcount == 1
    )


def _reinstate(connection: Connection, new: NewImport, now: datetime) -> bool:
    """Reinstate a slot's import, cancelled -> scheduled, unless a person cancelled it or it has started."""
    set_aside = (
        imports.c.source == new.source,
        imports.c.slot_at == new.slot_at,
        imports.c.status == ImportStatus.CANCELLED,
        imports.c.started_at.is_(None),
        imports.c.cancel_requested_at.is_(None),
        imports.c.trigger != Trigger.RESCHEDULE,
    )
    values = {
        "status": ImportStatus.SCHEDULED,
        "trigger": new.trigger,
        "scheduled_at": new.slot_at,
        **dict.fromkeys(("cancelled_at", "ended_at", "failure_reason", "run_requested_at", "requested_by")),
    }
    found = update(imports).where(*set_aside).values(**values, updated_at=now).returning(imports.c.id)
    import_id = connection.scalar(found)
    if import_id is None:
        return False
    sentence = f"Scheduled again: the slot of {new.slot_at:%Y-%m-%d %H:%M} UTC is still to come and is not spent."
    events.note(connection, import_id, now, "slot_reinstated", sentence)
    return True


def open_imports(connection: Connection, source: str, now: datetime) -> list[ImportRow]:
    """Return the imports for the scheduling rules: scheduled, running, and ended ones of future slots."""
    # Two reads of two indexes: one with `or` would read the whole history of the source.
    ids = union(
        *(select(imports.c.id).where(imports.c.source == source, each) for each in (_UNENDED, imports.c.slot_at > now))
    )
    return rows(connection, select(imports).where(imports.c.id.in_(ids)).order_by(imports.c.id))


def open_retry_of(connection: Connection, import_id: int) -> int | None:
    """Return the scheduled or running import that retries the items of that one, if any."""
    return connection.scalar(select(imports.c.id).where(imports.c.retry_of == import_id, _UNENDED).limit(1))


def claim_run(connection: Connection, seen: ImportRow, now: datetime, again_after: timedelta) -> bool:
    """Claim the right to request a run; False if another process requested one recently or works on the import."""
    asked = imports.c.run_requested_at
    is_recent = asked.between(now - again_after, now + again_after)  # a time far ahead was written by a wrong clock
    unasked = or_(asked.is_(None), asked <= now - again_after, not_(is_recent), asked <= imports.c.heartbeat_at)
    as_seen = (imports.c.id == seen.id, imports.c.status == seen.status, imports.c.fence == seen.fence)
    return _change(connection, now, *as_seen, unasked, run_requested_at=now)


def release_run_request(connection: Connection, import_id: int, now: datetime) -> bool:
    """Drop the request of a run that could not start the import, so that another can follow. False if it started."""
    return _change(connection, now, *_scheduled(import_id), run_requested_at=None)


def created_by_workers(connection: Connection, source: str) -> list[ImportRow]:
    """Return the scheduled imports that processes created for themselves, newest first."""
    made = imports.c.trigger.in_([Trigger.CLI, Trigger.UI])
    scheduled = (imports.c.source == source, imports.c.status == ImportStatus.SCHEDULED, imports.c.slot_at.is_(None))
    return rows(connection, select(imports).where(*scheduled, made).order_by(imports.c.id.desc()))


def adopt(connection: Connection, seen: ImportRow, starter: Worker, now: datetime) -> bool:
    """Hand a scheduled import to this process to start; False if it has changed since it was read."""
    asked = imports.c.run_requested_at
    as_seen = (
        imports.c.host.is_not_distinct_from(seen.host),
        imports.c.pid.is_not_distinct_from(seen.pid),  # an earlier adopter has stored its own here
        asked.is_(None) if seen.run_requested_at is None else asked == seen.run_requested_at,
    )
    now_ours = {
        "host": starter.host,
        "pid": starter.pid,
        "process_began": starter.began,
        "scheduled_at": now,
        "run_requested_at": None,
    }
    return _change(connection, now, *_scheduled(seen.id), *as_seen, **now_ours)


def withdraw(connection: Connection, import_id: int, starter: Worker) -> bool:
    """Delete a scheduled import that this process created for itself; False if another one owns it."""
    own = (
        imports.c.host == starter.host,
        imports.c.pid == starter.pid,
        imports.c.trigger.in_([Trigger.CLI, Trigger.UI]),
        imports.c.run_requested_at.is_(None),
    )
    return connection.execute(delete(imports).where(*_scheduled(import_id), *own)).rowcount == 1


def reschedule(connection: Connection, import_id: int, now: datetime, requested_by: str | None) -> bool:
    """Move a slot's import to now; the slot is spent. False if it has started or was moved already."""
    values = {"scheduled_at": now, "trigger": Trigger.RESCHEDULE, "requested_by": requested_by}
    return _change(connection, now, *_scheduled(import_id), imports.c.trigger != Trigger.RESCHEDULE, **values)


def of_slot(connection: Connection, source: str, slot_at: datetime) -> ImportRow | None:
    """Return the import of the slot, whatever its status."""
    found = rows(connection, select(imports).where(imports.c.source == source, imports.c.slot_at == slot_at))
    return found[0] if found else None


def rescheduled_import(connection: Connection, source: str, now: datetime) -> ImportRow | None:
    """Return the import that a person moved to now: not started yet, or running with its slot still ahead."""
    by_person = (imports.c.source == source, imports.c.trigger == Trigger.RESCHEDULE)
    runs = and_(imports.c.status == ImportStatus.RUNNING, imports.c.slot_at > now)
    unended = or_(imports.c.status == ImportStatus.SCHEDULED, runs)
    found = rows(connection, select(imports).where(*by_person, unended).order_by(imports.c.id))
    return found[0] if found else None


def cancel_scheduled(
    connection: Connection, import_id: int, now: datetime, reason: str, *, by_person: bool = False
) -> bool:
    """Cancel an import, scheduled -> cancelled; False if it is no longer scheduled.

    The slot is spent only if a person cancelled it.
    """
    values = {"status": ImportStatus.CANCELLED, "cancelled_at": now, "ended_at": now, "failure_reason": reason}
    if by_person:
        values["cancel_requested_at"] = now
    return _change(connection, now, *_scheduled(import_id), **values)


def delete_ended(connection: Connection, import_id: int) -> bool:
    """Delete an ended import with its item rows and events; imported rows stay. False if it has not ended."""
    statement = delete(imports).where(imports.c.id == import_id, imports.c.status.in_(ENDED))
    return connection.execute(statement).rowcount == 1


def _scheduled(import_id: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that find the import while it has not started."""
    return imports.c.id == import_id, imports.c.status == ImportStatus.SCHEDULED


def _change(connection: Connection, now: datetime, *conditions: ColumnElement[bool], **values: Any) -> bool:
    """Change one import in one statement; False if the conditions no longer hold."""
    return connection.execute(update(imports).where(*conditions).values(**values, updated_at=now)).rowcount == 1
