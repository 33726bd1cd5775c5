"""Statements beyond the common language of SQLAlchemy: upserts, long IN lists, locks without rows."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite

#: An arbitrary key that no other program uses: "import_p" as eight bytes.
SCHEMA_LOCK_KEY = int.from_bytes(b"import_p", "big")
#: Most values in one IN (...).
CHUNK = 500


def insert_into(connection: Connection, table: Any) -> Any:
    """Return the INSERT of the connection's dialect, which has ON CONFLICT."""
    return insert_for(connection.dialect.name, table)


def insert_for(dialect: str, table: Any) -> Any:
    """Return the INSERT of a dialect by its name, for statements that are kept."""
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


def schema_lock(connection: Connection) -> None:
    """Take the lock for changes of tables, until the transaction ends.

    On SQLite a writing transaction is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK_KEY})


def requests_lock(connection: Connection, source: str) -> None:
    """Take the lock for new requests of this source, until the transaction ends."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def chunks(values: Sequence[Any], size: int = CHUNK) -> Iterable[Sequence[Any]]:
    """Yield the values in pieces of at most that size."""
    return (values[start : start + size] for start in range(0, len(values), size))


def without_nulls(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows to insert without the columns that are null in all of them, and null if left out.

    Each value of each row costs, whether it is null or not.
    """
    kept = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    return [{name: row[name] for name in kept} for row in rows]


def operand_of(columns: Sequence[Any]) -> Any:
    """Return the columns of a key as one operand: the only column, or a tuple."""
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def among(columns: Sequence[Any], keys: Sequence[Sequence[Any]]) -> ColumnElement[bool]:
    """Return the condition for rows with one of these keys, which have a value for each column."""
    found: ColumnElement[bool] = operand_of(columns).in_([key[0] for key in keys] if len(columns) == 1 else keys)
    return found
