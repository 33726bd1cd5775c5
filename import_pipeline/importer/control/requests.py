"""Record requests of people, each with who, when and why, and fulfil each once.

A NEW or RESCHEDULE request waits for the sensor or `start-scheduled`, which launch runs. CANCEL, RETRY and DELETE only
change rows: they take effect immediately and are recorded as well.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import UsageError
from import_pipeline.importer.control.rescheduling import (
    RecordedRequest,
    duplicate_answer,
    request_reschedule,
    reschedule,
)
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.rules.status import ENDED, Trigger
from import_pipeline.tracking import events, imports, requests
from import_pipeline.tracking.database.dialect import requests_lock
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.requests import NewRequest, Request, RequestKind, attribution


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of a request that takes effect immediately."""

    sentence: str
    already: bool = False  #: True if an earlier request did the same; nothing changed


def request_import(
    installation: Installation,
    source: ImportSource,
    kind: RequestKind,
    *,
    full: bool = False,
    fresh: bool = False,
    refetch: bool = False,
    shards: int | None = None,
    slot_at: datetime | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> RecordedRequest:
    """Record a request for a run (NEW or RESCHEDULE); `full`, `fresh`, `refetch` and `shards` are options of a NEW one.

    `shards`: the number of workers; None: the source's setting. `slot_at`: the slot that a RESCHEDULE moves; None: the
    next slot, or that of an import that was moved and has not ended. A request that repeats a waiting one adds nothing:
    the same slot is moved once, and a person's second NEW waits for the first. NEW requests of two people are two
    imports. Raises UsageError if the schedule has no such slot.
    """
    if kind not in {RequestKind.NEW, RequestKind.RESCHEDULE}:
        raise UsageError(f"{kind}: expected new or reschedule; the other kinds name an import")
    now = installation.clock.now()
    options: dict[str, Any] = {"full": full, "fresh": fresh, "refetch": refetch, "shards": shards}
    new = NewRequest(source=source.name, kind=kind, **options, requested_by=by, reason=reason)

    def unit(connection: Connection) -> RecordedRequest:
        requests_lock(connection, source.name)  # of two concurrent requests, the second sees the first
        if kind is RequestKind.RESCHEDULE:
            return request_reschedule(connection, source, slot_at, now, by=by, reason=reason)
        same = (each for each in requests.waiting(connection, source.name) if by and _sense(each) == _sense(new))
        earlier = next(same, None)
        if earlier is not None:
            return RecordedRequest(id=earlier.id, already=duplicate_answer(earlier))
        return RecordedRequest(id=requests.record(connection, new, now))

    return installation.transact(unit)


def _sense(request: NewRequest) -> tuple[object, ...]:
    """Return what the request asks for, and who asks: two that agree are one."""
    return request.kind, request.requested_by, request.full, request.fresh, request.refetch, request.shards


def fulfil(connection: Connection, source: ImportSource, request: Request, now: datetime) -> str | None:
    """Fulfil a request for a run. Return the outcome in a sentence; None if another process fulfilled it."""
    if not requests.claim(connection, request.id, now):
        return None
    if request.kind is RequestKind.RESCHEDULE:
        made, unmoved = reschedule(connection, source, request, now)
    else:
        made, unmoved = _create_import(connection, source, request, now), None
    outcome = unmoved or f"Import {made} was requested by {request.requested_by or 'a person'}."
    requests.record_outcome(connection, request.id, outcome, made, has_changed_nothing=unmoved is not None)
    return outcome


def _create_import(connection: Connection, source: ImportSource, request: Request, now: datetime) -> int:
    """Create the extra import of a NEW request, due since it was requested."""
    new = new_import(
        source,
        Trigger.REQUEST,
        full=request.full,
        fresh=request.fresh,
        refetch=request.refetch,
        shards=request.shards,
        scheduled_at=request.requested_at,
        by=request.requested_by,
    )
    made = imports.create(connection, new, now)
    sentence = f"Requested {attribution(request.requested_by, request.reason)}."
    events.note(connection, made.id, now, "import_requested", sentence)
    return made.id


def check_has_ended(row: ImportRow) -> None:
    """Raise UsageError if the import is scheduled or running."""
    if row.status not in ENDED:
        raise UsageError(f"import {row.id} is {row.status}: expected one that has ended; cancel it first")


def record_fulfilled(
    connection: Connection, new: NewRequest, now: datetime, outcome: str, result: int | None = None
) -> None:
    """Record a request that took effect immediately; `result`: the import that it created."""
    request_id = requests.record(connection, new, now)
    requests.claim(connection, request_id, now)
    requests.record_outcome(connection, request_id, outcome, result)
