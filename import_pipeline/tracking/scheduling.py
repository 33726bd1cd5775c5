"""The statements of the schedule on import rows: slots filled, runs asked for once, cancelled, deleted.

With `imports`, `pages` and `claims`: the ledger.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, select, update

from import_pipeline.rules.status import ENDED, ImportStatus, Trigger
from import_pipeline.tracking.dialect import insert_into
from import_pipeline.tracking.imports import ImportRow, NewImport, rows
from import_pipeline.tracking.process import Worker
from import_pipeline.tracking.tables import imports


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
    unended = imports.c.status.in_([ImportStatus.SCHEDULED, ImportStatus.RUNNING])
    return rows(
        connection,
        select(imports).where(imports.c.source == source, or_(unended, imports.c.slot_at > now)).order_by(imports.c.id),
    )


def open_retry_of(connection: Connection, import_id: int) -> int | None:
    """The scheduled or running import that retries what that one has left, if there is one."""
    unended = imports.c.status.in_([ImportStatus.SCHEDULED, ImportStatus.RUNNING])
    return connection.scalar(select(imports.c.id).where(imports.c.retry_of == import_id, unended).limit(1))


def claim_run(connection: Connection, seen: ImportRow, now: datetime, again_after: timedelta) -> bool:
    """The right to ask for a run of the import; False where somebody else has asked so recently, or works on it now."""
    asked = imports.c.run_requested_at
    statement = (
        update(imports)
        .where(
            imports.c.id == seen.id,
            imports.c.status == seen.status,
            imports.c.fence == seen.fence,
            or_(asked.is_(None), asked <= now - again_after, asked <= imports.c.heartbeat_at),
        )
        .values(run_requested_at=now, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def give_back(connection: Connection, import_id: int, now: datetime) -> bool:
    """A run that was asked for could not start the import: another one may be asked for at once. False if it did."""
    statement = (
        update(imports)
        .where(imports.c.id == import_id, imports.c.status == ImportStatus.SCHEDULED)
        .values(run_requested_at=None, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def made_by_starters(connection: Connection, source: str) -> list[ImportRow]:
    """Scheduled imports that were made by the processes that were to carry them out, the newest first."""
    made = imports.c.trigger.in_([Trigger.CLI, Trigger.UI])
    scheduled = (imports.c.source == source, imports.c.status == ImportStatus.SCHEDULED, imports.c.slot_at.is_(None))
    return rows(connection, select(imports).where(*scheduled, made).order_by(imports.c.id.desc()))


def adopt(connection: Connection, seen: ImportRow, starter: Worker, now: datetime) -> bool:
    """Another process is about to carry the scheduled import out; False where it is no longer as it was seen."""
    asked = imports.c.run_requested_at
    statement = (
        update(imports)
        .where(
            imports.c.id == seen.id,
            imports.c.status == ImportStatus.SCHEDULED,
            imports.c.host.is_not_distinct_from(seen.host),
            imports.c.pid.is_not_distinct_from(seen.pid),  # the one before us has put its own here
            asked.is_(None) if seen.run_requested_at is None else asked == seen.run_requested_at,
        )
        .values(host=starter.host, pid=starter.pid, scheduled_at=now, run_requested_at=None, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def reschedule(connection: Connection, import_id: int, now: datetime, requested_by: str | None) -> bool:
    """A coming slot's import starts now; its slot is spent. False where it has started or is due anyway."""
    statement = (
        update(imports)
        .where(imports.c.id == import_id, imports.c.status == ImportStatus.SCHEDULED, imports.c.scheduled_at > now)
        .values(scheduled_at=now, trigger=Trigger.RESCHEDULE, requested_by=requested_by, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def cancel_scheduled(connection: Connection, import_id: int, now: datetime, reason: str) -> bool:
    """scheduled -> cancelled; False where it is no longer scheduled."""
    statement = (
        update(imports)
        .where(imports.c.id == import_id, imports.c.status == ImportStatus.SCHEDULED)
        .values(status=ImportStatus.CANCELLED, cancelled_at=now, ended_at=now, failure_reason=reason, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def delete_ended(connection: Connection, import_id: int) -> bool:
    """Delete an ended import with its item rows and events; what it imported stays. False where it has not ended."""
    statement = delete(imports).where(imports.c.id == import_id, imports.c.status.in_(ENDED))
    return connection.execute(statement).rowcount == 1
