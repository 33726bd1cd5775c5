"""The statements of the schedule on import rows: slots filled, runs asked for once, cancelled, deleted.

With `imports`, `pages` and `claims`: the ledger.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from import_pipeline.rules.status import ENDED, ImportStatus, Trigger
from import_pipeline.tracking.dialect import insert_into
from import_pipeline.tracking.imports import ImportRow, NewImport, rows
from import_pipeline.tracking.process import Worker
from import_pipeline.tracking.tables import imports

_UNENDED = imports.c.status.in_([ImportStatus.SCHEDULED, ImportStatus.RUNNING])


def create_slot(connection: Connection, new: NewImport, now: datetime) -> bool:
    """The scheduled import of a slot; False where the slot has one already, whoever made it."""
    statement = insert_into(connection, imports).values(
        source=new.source,
        importable_type=new.importable_type,
        kind=new.kind,
        trigger=new.trigger,
        slot_at=new.slot_at,
        scheduled_at=new.slot_at,
        metadata=dict(new.metadata),
        created_at=now,
        updated_at=now,
    )
    return bool(
        connection.execute(statement.on_conflict_do_nothing(index_elements=["source", "slot_at"])).rowcount == 1
    )


def open_ones(connection: Connection, source: str, now: datetime) -> list[ImportRow]:
    """What the scheduling rules look at: scheduled and running imports, and ended ones of slots that are to come."""
    looked_at = (imports.c.source == source, or_(_UNENDED, imports.c.slot_at > now))
    return rows(connection, select(imports).where(*looked_at).order_by(imports.c.id))


def open_retry_of(connection: Connection, import_id: int) -> int | None:
    """The scheduled or running import that retries what that one has left, if there is one."""
    return connection.scalar(select(imports.c.id).where(imports.c.retry_of == import_id, _UNENDED).limit(1))


def claim_run(connection: Connection, seen: ImportRow, now: datetime, again_after: timedelta) -> bool:
    """The right to ask for a run of the import; False where somebody else has asked so recently, or works on it now."""
    asked = imports.c.run_requested_at
    unasked = or_(asked.is_(None), asked <= now - again_after, asked <= imports.c.heartbeat_at)
    as_seen = (imports.c.id == seen.id, imports.c.status == seen.status, imports.c.fence == seen.fence)
    return _change(connection, now, *as_seen, unasked, run_requested_at=now)


def give_back(connection: Connection, import_id: int, now: datetime) -> bool:
    """A run that was asked for could not start the import: another one may be asked for at once. False if it did."""
    return _change(connection, now, *_scheduled(import_id), run_requested_at=None)


def made_by_starters(connection: Connection, source: str) -> list[ImportRow]:
    """Scheduled imports that were made by the processes that were to carry them out, the newest first."""
    made = imports.c.trigger.in_([Trigger.CLI, Trigger.UI])
    scheduled = (imports.c.source == source, imports.c.status == ImportStatus.SCHEDULED, imports.c.slot_at.is_(None))
    return rows(connection, select(imports).where(*scheduled, made).order_by(imports.c.id.desc()))


def adopt(connection: Connection, seen: ImportRow, starter: Worker, now: datetime) -> bool:
    """Another process is about to carry the scheduled import out; False where it is no longer as it was seen."""
    asked = imports.c.run_requested_at
    as_seen = (
        imports.c.host.is_not_distinct_from(seen.host),
        imports.c.pid.is_not_distinct_from(seen.pid),  # the one before us has put its own here
        asked.is_(None) if seen.run_requested_at is None else asked == seen.run_requested_at,
    )
    now_ours = {"host": starter.host, "pid": starter.pid, "scheduled_at": now, "run_requested_at": None}
    return _change(connection, now, *_scheduled(seen.id), *as_seen, **now_ours)


def withdraw(connection: Connection, import_id: int, starter: Worker) -> bool:
    """Delete a scheduled import that this process made for itself to start; False where it is anybody else's."""
    own = (
        imports.c.host == starter.host,
        imports.c.pid == starter.pid,
        imports.c.trigger.in_([Trigger.CLI, Trigger.UI]),
        imports.c.run_requested_at.is_(None),
    )
    return connection.execute(delete(imports).where(*_scheduled(import_id), *own)).rowcount == 1


def reschedule(connection: Connection, import_id: int, now: datetime, requested_by: str | None) -> bool:
    """A coming slot's import starts now; its slot is spent. False where it has started or is due anyway."""
    values = {"scheduled_at": now, "trigger": Trigger.RESCHEDULE, "requested_by": requested_by}
    return _change(connection, now, *_scheduled(import_id), imports.c.scheduled_at > now, **values)


def cancel_scheduled(connection: Connection, import_id: int, now: datetime, reason: str) -> bool:
    """scheduled -> cancelled; False where it is no longer scheduled."""
    values = {"status": ImportStatus.CANCELLED, "cancelled_at": now, "ended_at": now, "failure_reason": reason}
    return _change(connection, now, *_scheduled(import_id), **values)


def delete_ended(connection: Connection, import_id: int) -> bool:
    """Delete an ended import with its item rows and events; what it imported stays. False where it has not ended."""
    statement = delete(imports).where(imports.c.id == import_id, imports.c.status.in_(ENDED))
    return connection.execute(statement).rowcount == 1


def _scheduled(import_id: int) -> tuple[ColumnElement[bool], ...]:
    """The import, as long as it has not started."""
    return imports.c.id == import_id, imports.c.status == ImportStatus.SCHEDULED


def _change(connection: Connection, now: datetime, *conditions: ColumnElement[bool], **values: Any) -> bool:
    """Change one import in one statement; False where it is no longer as the conditions say."""
    return connection.execute(update(imports).where(*conditions).values(**values, updated_at=now)).rowcount == 1
