"""The switch of each source's schedule, on or off, as the latest tick saw it."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.tables import import_requests as requests
from import_pipeline.tracking.tables import imports
from import_pipeline.tracking.tables import source_schedules as schedules


def record_off(connection: Connection, source: str, now: datetime) -> None:
    """Record that the schedule is off now."""
    new = insert_into(connection, schedules).values(source=source, off_since=now, off_seen_at=now)
    since = {"off_since": func.coalesce(schedules.c.off_since, now), "off_seen_at": now}
    connection.execute(new.on_conflict_do_update(index_elements=["source"], set_=since))


def record_on(connection: Connection, source: str) -> datetime | None:
    """Record that the schedule is on now. Return the latest tick that found it off, once; None if it was on."""
    was_off = update(schedules).where(schedules.c.source == source, schedules.c.off_since.is_not(None))
    seen: datetime | None = connection.scalar(was_off.values(off_since=None).returning(schedules.c.off_seen_at))
    return seen


def off_since(connection: Connection, source: str) -> datetime | None:
    """Return since when the schedule is off; None if it is on."""
    since: datetime | None = connection.scalar(select(schedules.c.off_since).where(schedules.c.source == source))
    return since


def off_seen_at(connection: Connection, source: str) -> datetime | None:
    """Return the latest tick that found the schedule off; None if it is on."""
    is_off = (schedules.c.source == source, schedules.c.off_since.is_not(None))
    seen: datetime | None = connection.scalar(select(schedules.c.off_seen_at).where(*is_off))
    return seen


def last_tick(connection: Connection, source: str) -> datetime | None:
    """Return the latest sign of a tick of the source's scheduler; None if there is none.

    Only ticks create and start the imports of slots, fulfil waiting requests, and find the schedule off.
    """
    of_slots = (imports.c.source == source, imports.c.slot_at.is_not(None))
    waited = requests.c.handled_at > requests.c.requested_at  # the others took effect immediately
    signs = [
        select(func.max(imports.c.created_at)).where(*of_slots),
        select(func.max(imports.c.started_at)).where(*of_slots),
        select(func.max(requests.c.handled_at)).where(requests.c.source == source, waited),
        select(schedules.c.off_seen_at).where(schedules.c.source == source),
    ]
    return max((found for sign in signs if (found := connection.scalar(sign)) is not None), default=None)


def is_held_back(connection: Connection, row: ImportRow) -> bool:
    """Return True if the import waits for a slot whose schedule is off. Requests of people are not held back."""
    of_slot = row.slot_at is not None and row.trigger is not Trigger.RESCHEDULE
    return row.status is ImportStatus.SCHEDULED and of_slot and off_since(connection, row.source) is not None


def held_back_clause() -> ColumnElement[bool]:
    """Return the condition that finds such imports."""
    return and_(
        imports.c.status == ImportStatus.SCHEDULED,
        imports.c.slot_at.is_not(None),
        imports.c.trigger != Trigger.RESCHEDULE,
        imports.c.source.in_(select(schedules.c.source).where(schedules.c.off_since.is_not(None))),
    )
