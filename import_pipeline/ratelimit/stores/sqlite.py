"""The embedded permit store: one SQLite file, for any number of processes on one machine.

Moments are on the machine's monotonic clock, which cannot be set. It restarts at boot. Then the store's own clock
continues from its last moment; the time between is lost, which only makes the limits stricter.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from limits.storage import Storage

from import_pipeline.ratelimit.algorithm.api_permits import ApiPermits
from import_pipeline.ratelimit.algorithm.exchange import exchange
from import_pipeline.ratelimit.algorithm.state import ApiState, begin
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest, StoreError
from import_pipeline.ratelimit.stores.sqlite_file import SQLiteFile, boot_id, monotonic_micros

#: A change of what a table holds needs a new name for it, since no other format is read.
SCHEMA = """
CREATE TABLE IF NOT EXISTS window_log (api TEXT, permit TEXT, moment INTEGER NOT NULL, PRIMARY KEY (api, permit))
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS window_log_by_moment ON window_log (api, moment);
CREATE TABLE IF NOT EXISTS api_states (api TEXT PRIMARY KEY, boot TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, amount INTEGER NOT NULL, expires REAL NOT NULL);
"""
IN_FLIGHT = "\tin flight"  #: appended to an API's name for the log of its permits in flight
STATE_FIELDS = [field.name for field in fields(ApiState)]


class SQLitePermits(Storage):
    """A storage of `limits` under the scheme `permits+sqlite`, and a permit store. Thread-safe; opens lazily."""

    STORAGE_SCHEME = ["permits+sqlite"]
    blocks = True

    def __init__(
        self,
        uri: str,
        *,
        wrap_exceptions: bool = False,
        micros: Callable[[], int] = monotonic_micros,
        boot: Callable[[], str] = boot_id,
        patience: float = 5.0,
        **options: float | str | bool,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._micros, self._boot = micros, boot
        self._booted = ""
        self._file = SQLiteFile(
            Path(unquote(urlsplit(uri).path)),
            SCHEMA,
            synchronous="NORMAL",  # a power cut loses the last steps, but stops all senders
            patience=patience,
            opening=self._read_boot,
        )
        self._known: dict[tuple[str, str], tuple[int, int]] = {}  # (api, process) -> last epoch and moment

    def _read_boot(self) -> None:
        self._booted = self._boot()

    @property
    def base_exceptions(self) -> type[Exception]:
        """The errors that the store raises if it does not work."""
        return sqlite3.Error

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        """Settle and grant permits in one atomic step. Raises StoreError."""
        try:
            with self._file.transaction() as connection:
                return self._exchange(connection, request)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._file.path}: {error}") from error

    def _exchange(self, connection: sqlite3.Connection, request: ExchangeRequest) -> ExchangeReply:
        state, log, in_flight, boot = self._load(connection, request.api)
        raw = self._micros()
        if boot != self._booted:
            state.clock_offset = state.last_now
        epoch, last_seen = self._known.get((request.api, request.process), (0, 0))
        now, lost, emptied = begin(state, raw, epoch, last_seen)
        result = exchange(ApiPermits(state, log, in_flight), request, now, lost=lost, emptied=emptied)
        self._store(connection, request.api, state, log, in_flight)
        self._known[request.api, request.process] = (state.epoch, now)
        return result

    def _load(
        self, connection: sqlite3.Connection, api: str
    ) -> tuple[ApiState, "SQLiteWindowLog", "SQLiteWindowLog", str]:
        row = connection.execute("SELECT state, boot FROM api_states WHERE api = ?", (api,)).fetchone()
        stored: dict[str, Any] = json.loads(row[0]) if row else {"logged": 0, "logged_in_flight": 0}
        log = SQLiteWindowLog(connection, api, stored.pop("logged"))
        in_flight = SQLiteWindowLog(connection, api + IN_FLIGHT, stored.pop("logged_in_flight"))
        return ApiState(**stored), log, in_flight, row[1] if row else self._booted

    def _store(
        self,
        connection: sqlite3.Connection,
        api: str,
        state: ApiState,
        log: "SQLiteWindowLog",
        in_flight: "SQLiteWindowLog",
    ) -> None:
        stored = {name: getattr(state, name) for name in STATE_FIELDS}
        stored |= {"logged": log.total, "logged_in_flight": in_flight.total}
        row = (api, self._booted, json.dumps(stored))
        connection.execute("INSERT OR REPLACE INTO api_states VALUES (?, ?, ?)", row)

    def close(self) -> None:
        """Close the file; the next exchange opens it again."""
        self._file.close()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Increase a counter and return it, for the other strategies of `limits`."""
        now = time.time()
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM counters WHERE expires <= ?", (now,))
            row = connection.execute(
                "INSERT INTO counters (key, amount, expires) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET amount = amount + excluded.amount RETURNING amount",
                (key, amount, now + expiry),
            ).fetchone()
            return int(row[0])

    def get(self, key: str) -> int:
        """Return a counter."""
        return int(self._counter(key)[0])

    def get_expiry(self, key: str) -> float:
        """Return the moment at which a counter expires, in seconds since 1970."""
        return self._counter(key)[1]

    def _counter(self, key: str) -> tuple[int, float]:
        with self._file.transaction() as connection:
            row = connection.execute(
                "SELECT amount, expires FROM counters WHERE key = ? AND expires > ?", (key, time.time())
            ).fetchone()
        return (row[0], row[1]) if row else (0, time.time())

    def check(self) -> bool:
        """Return True if the file can be written to."""
        try:
            with self._file.transaction():
                return True
        except (sqlite3.Error, OSError):
            return False

    def reset(self) -> int | None:
        """Delete everything, and return the number of rows."""
        with self._file.transaction() as connection:
            deleted: list[int] = [
                connection.execute(f"DELETE FROM {table}").rowcount  # noqa: S608  names of our own tables
                for table in ("window_log", "api_states", "counters")
            ]
            return sum(deleted)

    def clear(self, key: str) -> None:
        """Delete a counter of other strategies, or an API's permits. They are not replayed to the store."""
        self._known = {known: seen for known, seen in self._known.items() if known[0] != key}
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM counters WHERE key = ?", (key,))
            connection.execute("DELETE FROM window_log WHERE api IN (?, ?)", (key, key + IN_FLIGHT))
            connection.execute("DELETE FROM api_states WHERE api = ?", (key,))


class SQLiteWindowLog:
    """The window log of one API within a transaction. Its size is kept, since SQLite would have to count."""

    def __init__(self, connection: sqlite3.Connection, api: str, total: int) -> None:
        self._execute, self._api, self.total = connection.execute, api, total

    def put(self, permit: str, moment: int) -> None:
        """Add an entry, or move it."""
        moved = self._execute(
            "UPDATE window_log SET moment = ? WHERE api = ? AND permit = ?", (moment, self._api, permit)
        )
        if not moved.rowcount:
            self._execute("INSERT INTO window_log VALUES (?, ?, ?)", (self._api, permit, moment))
            self.total += 1

    def remove(self, permit: str) -> None:
        """Remove an entry, if it exists."""
        self.total -= self._execute("DELETE FROM window_log WHERE api = ? AND permit = ?", (self._api, permit)).rowcount

    def moment(self, permit: str) -> int | None:
        """Return the moment of an entry; None if it does not exist."""
        row = self._execute(
            "SELECT moment FROM window_log WHERE api = ? AND permit = ?", (self._api, permit)
        ).fetchone()
        return row and int(row[0])

    def newest(self, skip: int, count: int) -> Sequence[int]:
        """Return up to `count` moments, newest first, after skipping `skip`."""
        count = min(count, self.total - skip)
        if count <= 0:
            return []
        newest_first = skip <= self.total // 2  # skipping means walking: start at the nearer end
        order, walk = ("DESC", skip) if newest_first else ("ASC", self.total - skip - count)
        rows = self._execute(
            f"SELECT moment FROM window_log WHERE api = ? ORDER BY moment {order} LIMIT ? OFFSET ?",  # noqa: S608  one of two words
            (self._api, count, walk),
        )
        moments = [moment for (moment,) in rows]
        return moments if newest_first else moments[::-1]

    def later_than(self, moment: int) -> int:
        """Return the number of entries later than a moment."""
        (count,) = self._execute(
            "SELECT count(*) FROM window_log WHERE api = ? AND moment > ?", (self._api, moment)
        ).fetchone()
        return int(count)

    def first_after(self, moment: int) -> int | None:
        """Return the oldest moment later than this one."""
        (oldest,) = self._execute(
            "SELECT min(moment) FROM window_log WHERE api = ? AND moment > ?", (self._api, moment)
        ).fetchone()
        return None if oldest is None else int(oldest)

    def forget(self, until: int) -> None:
        """Remove all entries up to a moment."""
        self.total -= self._execute("DELETE FROM window_log WHERE api = ? AND moment <= ?", (self._api, until)).rowcount
