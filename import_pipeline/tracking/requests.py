"""What people wish for, when, why, and what became of it. Wishes for a run wait for the sensor."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from import_pipeline.tracking.imports import BIGGEST_ID
from import_pipeline.tracking.tables import import_requests as requests


class RequestKind(StrEnum):
    """What can be wished for."""

    NEW = "new"  #: an extra import now; the schedule stays
    RESCHEDULE = "reschedule"  #: the next slot's import now; that slot is spent
    CANCEL = "cancel"  #: the end of a scheduled or running import
    RETRY = "retry"  #: the failed or unfinished items of an import, again
    DELETE = "delete"  #: an ended import's rows gone; what it imported stays


@dataclass(frozen=True, kw_only=True)
class Request:
    """One wish."""

    id: int
    source: str
    wish: RequestKind
    import_id: int | None
    fresh: bool
    requested_by: str | None
    reason: str | None
    shards: int | None  #: runs that are to work on it at once; None: as the source says
    slot_at: datetime | None  #: the slot that a RESCHEDULE means
    requested_at: datetime


def ask(
    connection: Connection,
    source: str,
    wish: RequestKind,
    now: datetime,
    *,
    import_id: int | None = None,
    fresh: bool = False,
    requested_by: str | None = None,
    reason: str | None = None,
    shards: int | None = None,
    slot_at: datetime | None = None,
) -> int:
    """Write a wish down; returns its id."""
    asked = {"shards": shards, "slot_at": slot_at.isoformat() if slot_at else None}
    statement = insert(requests).values(
        source=source,
        wish=wish,
        import_id=import_id,
        fresh=fresh,
        requested_by=requested_by,
        reason=reason,
        requested_at=now,
        metadata={name: value for name, value in asked.items() if value is not None},
    )
    return int(connection.execute(statement.returning(requests.c.id)).scalar_one())


def waiting(connection: Connection, source: str) -> list[Request]:
    """The source's wishes that nobody has seen to yet, the oldest first."""
    rows = connection.execute(
        select(requests).where(requests.c.source == source, requests.c.handled_at.is_(None)).order_by(requests.c.id)
    )
    return [
        Request(
            id=row.id,
            source=row.source,
            wish=RequestKind(row.wish),
            import_id=row.import_id,
            fresh=row.fresh,
            requested_by=row.requested_by,
            reason=row.reason,
            shards=row.metadata.get("shards"),
            slot_at=_moment(row.metadata.get("slot_at")),
            requested_at=row.requested_at,
        )
        for row in rows
    ]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def has_deleted(connection: Connection, import_id: int) -> bool:
    """Tell if a person has deleted the import of that id; ids are never given twice."""
    if import_id > BIGGEST_ID:
        return False
    deleted = (requests.c.wish == RequestKind.DELETE, requests.c.import_id == import_id)
    return connection.scalar(select(requests.c.id).where(*deleted).limit(1)) is not None


def take(connection: Connection, request_id: int, now: datetime) -> bool:
    """The right to see to a wish; False where somebody else has taken it."""
    statement = (
        update(requests).where(requests.c.id == request_id, requests.c.handled_at.is_(None)).values(handled_at=now)
    )
    return connection.execute(statement).rowcount == 1


def answer(connection: Connection, request_id: int, outcome: str, result_import_id: int | None = None) -> None:
    """Record what became of a wish, in a sentence, and the import that came of it."""
    connection.execute(
        update(requests).where(requests.c.id == request_id).values(outcome=outcome, result_import_id=result_import_id)
    )
