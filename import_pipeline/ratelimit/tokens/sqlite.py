"""Shared tokens in the SQLite file of the rate limits, for the processes of one machine."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from import_pipeline.ratelimit.protocol import SECOND, StoreError
from import_pipeline.ratelimit.stores.sqlite_file import SQLiteFile, boot_id, monotonic_micros
from import_pipeline.ratelimit.tokens.protocol import Claim, StoredToken

SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (name TEXT PRIMARY KEY, boot TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0,
    value BLOB, requested INTEGER, owner TEXT NOT NULL DEFAULT '', held_until INTEGER NOT NULL DEFAULT 0)
"""


class SQLiteTokens:
    """Tokens in a table of their own, on a connection of its own. Thread-safe; opens lazily.

    After a boot, moments of the boot before mean nothing: locks have ended, and ages are unknown.
    """

    blocks = True

    def __init__(
        self,
        path: Path,
        *,
        micros: Callable[[], int] = monotonic_micros,
        boot: Callable[[], str] = boot_id,
        patience: float = 5.0,
    ) -> None:
        self._micros, self._boot = micros, boot
        # FULL: a power cut must not lose a rotated refresh token
        self._file = SQLiteFile(path, SCHEMA, synchronous="FULL", patience=patience)

    def claim(self, name: str, owner: str, seconds: float) -> Claim:
        """Return the stored token, and take the lock for that long unless another owner has it."""
        with self._transaction() as connection:
            now, boot = self._micros(), self._boot()
            row = connection.execute(
                "SELECT boot, version, value, requested, owner, held_until FROM tokens WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                row = (boot, 0, None, None, "", 0)
                connection.execute("INSERT INTO tokens (name, boot) VALUES (?, ?)", (name, boot))
            booted, version, value, requested, holder, held_until = row
            is_known = booted == boot and requested is not None
            age = max(0.0, (now - requested) / SECOND) if is_known else None
            stored = None if value is None else StoredToken(version=version, value=value, age=age)
            if booted == boot and holder not in {"", owner} and held_until > now:
                return Claim(stored=stored, is_granted=False, wait=(held_until - now) / SECOND)
            connection.execute(
                "UPDATE tokens SET owner = ?, held_until = ?, boot = ?, requested = ? WHERE name = ?",
                (owner, now + int(seconds * SECOND), boot, requested if is_known else None, name),
            )
            return Claim(stored=stored, is_granted=True)

    def put(self, name: str, owner: str, value: bytes, *, after: int, age: float) -> int | None:
        """Store the token that follows version `after`, durably, and end the lock. Return its version.

        None: another process stored one meanwhile.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE tokens SET version = version + 1, value = ?, requested = ?, boot = ?, owner = '',"
                " held_until = 0 WHERE name = ? AND version = ?",
                (value, self._micros() - int(age * SECOND), self._boot(), name, after),
            )
            return after + 1 if changed.rowcount else None

    def hold(self, name: str, owner: str, seconds: float) -> None:
        """Let the owner's lock end in that many seconds; 0 ends it now."""
        with self._transaction() as connection:
            until = self._micros() + int(seconds * SECOND)
            connection.execute("UPDATE tokens SET held_until = ? WHERE name = ? AND owner = ?", (until, name, owner))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._file.transaction() as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._file.path}: {error}") from error

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._file.close()
