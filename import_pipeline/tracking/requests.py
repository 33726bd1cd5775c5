"""Requests of people: who requested what, when and why, and the outcome. Requests for a run wait for the sensor."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from import_pipeline.tracking.imports import BIGGEST_ID
from import_pipeline.tracking.tables import import_requests as requests
from import_pipeline.tracking.tables import imports

#: Key of the metadata: the request changed nothing.
UNCHANGED = "changed_nothing"


class RequestKind(StrEnum):
    """The kinds of requests; the column `wish` holds them."""

    NEW = "new"  #: an extra import now; the schedule stays
    RESCHEDULE = "reschedule"  #: the next slot's import now; that slot is spent
    CANCEL = "cancel"  #: the end of a scheduled or running import
    RETRY = "retry"  #: the failed or unfinished items of an import, again
    DELETE = "delete"  #: the removal of an ended import's rows; imported rows stay


@dataclass(frozen=True, kw_only=True)
class NewRequest:
    """A request before it is recorded."""

    source: str
    kind: RequestKind
    import_id: int | None = None  #: the import that it names; None for NEW and RESCHEDULE
    full: bool = False  #: read the whole list, although the source has a bookmark
    fresh: bool = False
    refetch: bool = False
    requested_by: str | None = None
    reason: str | None = None
    shards: int | None = None  #: workers that share the import; None: the source's setting
    slot_at: datetime | None = None  #: the slot that a RESCHEDULE moves


@dataclass(frozen=True, kw_only=True)
class Request(NewRequest):
    """A recorded request."""

    id: int
    requested_at: datetime


def record(connection: Connection, new: NewRequest, now: datetime) -> int:
    """Insert a request; return its id."""
    slot_at = new.slot_at.isoformat() if new.slot_at else None
    more = {"full": new.full or None, "shards": new.shards, "refetch": new.refetch or None, "slot_at": slot_at}
    statement = insert(requests).values(
        source=new.source,
        wish=new.kind,
        import_id=new.import_id,
        fresh=new.fresh,
        requested_by=new.requested_by,
        reason=new.reason,
        requested_at=now,
        metadata={name: value for name, value in more.items() if value is not None},
    )
    return int(connection.execute(statement.returning(requests.c.id)).scalar_one())


def waiting(connection: Connection, source: str) -> list[Request]:
    """Return the source's requests that wait to be fulfilled, oldest first."""
    rows = connection.execute(
        select(requests).where(requests.c.source == source, requests.c.handled_at.is_(None)).order_by(requests.c.id)
    )
    return [
        Request(
            id=row.id,
            source=row.source,
            kind=RequestKind(row.wish),
            import_id=row.import_id,
            full=bool(row.metadata.get("full")),
            fresh=row.fresh,
            refetch=bool(row.metadata.get("refetch")),
            requested_by=row.requested_by,
            reason=row.reason,
            shards=row.metadata.get("shards"),
            slot_at=_moment(row.metadata.get("slot_at")),
            requested_at=row.requested_at,
        )
        for row in rows
    ]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a request for a run, as far as it is fulfilled."""

    source: str
    is_waiting: bool
    sentence: str | None
    import_id: int | None  #: the import that it made or moved, if that is still there
    has_changed_nothing: bool = False  #: what was requested had happened already, or no longer can


def outcome_of(connection: Connection, request_id: int) -> Outcome | None:
    """Return the outcome of the request; None if there is no such request for a run."""
    if request_id > BIGGEST_ID:
        return None
    made = requests.outerjoin(imports, imports.c.id == requests.c.result_import_id)
    asked = (requests.c.id == request_id, requests.c.import_id.is_(None))
    made_id = imports.c.id.label("import_id")
    columns = (requests.c.source, requests.c.handled_at, requests.c.outcome, requests.c.metadata, made_id)
    row = connection.execute(select(*columns).select_from(made).where(*asked)).one_or_none()
    if row is None:
        return None
    is_waiting = row.handled_at is None
    return Outcome(
        source=row.source,
        is_waiting=is_waiting,
        sentence=row.outcome,
        import_id=row.import_id,
        has_changed_nothing=bool(row.metadata.get(UNCHANGED)),
    )


def waiting_sources(connection: Connection) -> frozenset[str]:
    """Return the sources that have requests waiting to be fulfilled."""
    return frozenset(connection.scalars(select(requests.c.source).where(requests.c.handled_at.is_(None)).distinct()))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def was_deleted(connection: Connection, import_id: int) -> bool:
    """Return True if a person deleted the import of that id; ids are never reused."""
    if import_id > BIGGEST_ID:
        return False
    deleted = (requests.c.wish == RequestKind.DELETE, requests.c.import_id == import_id)
    return connection.scalar(select(requests.c.id).where(*deleted).limit(1)) is not None


def claim(connection: Connection, request_id: int, now: datetime) -> bool:
    """Claim the request for fulfilment; False if another process claimed it first."""
    statement = (
        update(requests).where(requests.c.id == request_id, requests.c.handled_at.is_(None)).values(handled_at=now)
    )
    return connection.execute(statement).rowcount == 1


def record_outcome(
    connection: Connection,
    request_id: int,
    outcome: str,
    result_import_id: int | None = None,
    *,
    has_changed_nothing: bool = False,
) -> None:
    """Record the outcome of a claimed request as a sentence, and the import that it created or concerns."""
    mine = requests.c.id == request_id
    values: dict[str, object] = {"outcome": outcome, "result_import_id": result_import_id}
    if has_changed_nothing:
        values["metadata"] = {**connection.scalars(select(requests.c.metadata).where(mine)).one(), UNCHANGED: True}
    connection.execute(update(requests).where(mine).values(**values))


def attribution(requested_by: str | None, reason: str | None) -> str:
    """Name the person and the reason, as in `by Ada: the boss asked`."""
    return f"by {requested_by or 'a person'}" + (f": {reason.rstrip('.')}" if reason else "")
