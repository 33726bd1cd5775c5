"""Bookmarks of incremental sources: the position up to which everything that the list named was imported, or is owed.

An import moves the bookmark in the transaction that completes it. A person may set or reset it at any time.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, select, text, update

from import_pipeline.contracts.column_types import UtcDateTime
from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.database.text_columns import Storable
from import_pipeline.tracking.tables import tracking_metadata

source_bookmarks = Table(
    "source_bookmarks",
    tracking_metadata,
    Column("source", String(100), primary_key=True),
    Column("value", Storable),  # null: there is none, or a person has reset it
    Column("positions", String(64)),  # the fingerprint of `position()` when it was set
    Column("seen", Storable),  # the largest position that the last complete reading has seen
    Column("moved_at", UtcDateTime),
    Column("import_id", BigInteger),  # the import that moved it; null: a person
    Column("revision", Integer, nullable=False, server_default=text("0")),  # grows whenever a person sets or resets it
    Column("full_at", UtcDateTime),  # when the last complete full import was due
    Column("full_import_id", BigInteger),
)


@dataclass(frozen=True, kw_only=True)
class Bookmark:
    """The bookmark of a source. Without a row, all is empty."""

    value: str | None = None  #: None: there is none yet, or a person has reset it
    positions: str | None = None  #: the fingerprint of `position()` when it was set
    moved_at: datetime | None = None
    import_id: int | None = None  #: the import that moved it; None: a person set it
    revision: int = 0  #: grows whenever a person sets or resets it
    seen: str | None = None  #: the largest position that the last complete reading has seen, which may be larger
    full_at: datetime | None = None  #: when the last complete full import was due
    full_import_id: int | None = None


def of_source(connection: Connection, source: str) -> Bookmark:
    """Return the source's bookmark."""
    columns = [column for column in source_bookmarks.c if column.name != "source"]
    row = connection.execute(select(*columns).where(source_bookmarks.c.source == source)).one_or_none()
    return Bookmark() if row is None else Bookmark(**row._mapping)


@dataclass(frozen=True, kw_only=True)
class Mover:
    """An import that moves the bookmark."""

    import_id: int
    revision: int  #: of the bookmark when the import began
    positions: str  #: the fingerprint of `position()` then


def move(connection: Connection, source: str, value: str, by: Mover, now: datetime) -> bool:
    """Move the bookmark; False if a person has set it since the import began."""
    values = {"value": value, "positions": by.positions, "import_id": by.import_id, "moved_at": now}
    return _store(connection, source, values, by.revision)


def forget(connection: Connection, source: str) -> None:
    """Forget the bookmark until an import sets it again, so that imports are full until then."""
    connection.execute(
        update(source_bookmarks).where(source_bookmarks.c.source == source).values(value=None, seen=None)
    )


def record_seen(connection: Connection, source: str, seen: str, by: Mover) -> None:
    """Record the largest position of a complete reading: what has it, or a smaller one, changed before the next one."""
    _store(connection, source, {"seen": seen, "positions": by.positions}, by.revision)


def record_full(connection: Connection, source: str, *, due_at: datetime, import_id: int) -> None:
    """Record the latest complete full import."""
    _store(connection, source, {"full_at": due_at, "full_import_id": import_id})


def set_by_person(connection: Connection, source: str, value: str | None, *, positions: str, now: datetime) -> None:
    """Set the bookmark, or reset it with None. A running import no longer moves it."""
    values = {"value": value, "positions": positions, "import_id": None, "moved_at": now, "seen": None}
    statement = insert_into(connection, source_bookmarks).values(source=source, revision=1, **values)
    changed = values | {"revision": source_bookmarks.c.revision + 1}
    connection.execute(statement.on_conflict_do_update(index_elements=["source"], set_=changed))


def _store(connection: Connection, source: str, values: dict[str, Any], revision: int | None = None) -> bool:
    statement = insert_into(connection, source_bookmarks).values(source=source, **values)
    unchanged = None if revision is None else source_bookmarks.c.revision == revision
    statement = statement.on_conflict_do_update(index_elements=["source"], set_=values, where=unchanged)
    return bool(connection.execute(statement).rowcount == 1)
