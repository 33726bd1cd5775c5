"""Locks that are no rows: tables that change, requests that are added."""

import hashlib

from sqlalchemy import Connection, text

#: Any number that nobody else uses: "import_p" as eight bytes.
SCHEMA_LOCK_KEY = int.from_bytes(b"import_p", "big")


def schema_lock(connection: Connection) -> None:
    """Wait until no other process changes tables, until the transaction ends.

    Postgres has locks by number; on SQLite a writing transaction is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK_KEY})


def requests_lock(connection: Connection, source: str) -> None:
    """Wait until no other process adds a request for this source, until the transaction ends."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
