"""The embedded store of permits: one SQLite file, for any number of processes on one machine.

Moments are on the machine's monotonic clock, which no one can set. It starts again at boot: the store's own clock then
goes on where it stood (the time between is lost, which only makes the limits stricter).
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from limits.storage import Storage

from import_pipeline.ratelimit.algorithm.api_permits import ApiPermits
from import_pipeline.ratelimit.algorithm.exchange import exchange
from import_pipeline.ratelimit.algorithm.state import ApiState, begin
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest, StoreError

SCHEMA = """
CREATE TABLE IF NOT EXISTS permits (api TEXT, permit TEXT, moment INTEGER NOT NULL, PRIMARY KEY (api, permit))
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS permits_by_moment ON permits (api, moment);
CREATE TABLE IF NOT EXISTS apis (api TEXT PRIMARY KEY, boot TEXT NOT NULL, shared TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, amount INTEGER NOT NULL, expires REAL NOT NULL);
"""
IN_FLIGHT = "\tin flight"  #: under an api's name and this stand its permits in flight, where their number is limited
SHARED = [field.name for field in fields(ApiState)]
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def monotonic_micros() -> int:
    """Microseconds since boot, sleep of the machine included where the system can tell."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000


def boot_id() -> str:
    """A name for the time since the machine's start; empty where the system has none."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


class SQLitePermits(Storage):
    """A storage of `limits` under the scheme `permits+sqlite`, and a store of permits. Thread-safe; opens lazily."""

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
        self._path = Path(unquote(urlsplit(uri).path))
        self._micros, self._boot = micros, boot
        self._booted = ""
        self._patience = patience  # seconds to wait for another process's step
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._known: dict[tuple[str, str], tuple[int, int]] = {}  # (api, process) -> epoch and moment last seen

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the store raises when it does not work."""
        return sqlite3.Error

    def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
        """One atomic step; raises StoreError."""
        try:
            with self._transaction() as connection:
                return self._exchange(connection, ask)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _exchange(self, connection: sqlite3.Connection, ask: ExchangeRequest) -> ExchangeReply:
        shared, stamps, flying, boot = self._load(connection, ask.api)
        raw = self._micros()
        if boot != self._booted:
            shared.offset = shared.seen
        epoch, seen = self._known.get((ask.api, ask.process), (0, 0))
        now, lost, emptied = begin(shared, raw, epoch, seen)
        result = exchange(ApiPermits(shared, stamps, flying), ask, now, lost=lost, emptied=emptied)
        self._store(connection, ask.api, shared, stamps, flying)
        self._known[ask.api, ask.process] = (shared.epoch, now)
        return result

    def _load(self, connection: sqlite3.Connection, api: str) -> tuple[ApiState, "SQLiteStamps", "SQLiteStamps", str]:
        row = connection.execute("SELECT shared, boot FROM apis WHERE api = ?", (api,)).fetchone()
        known: dict[str, Any] = json.loads(row[0]) if row else {"stamps": 0}
        # Another version of this package may know more or less.
        shared = ApiState(**{name: known[name] for name in SHARED if name in known})
        stamps = SQLiteStamps(connection, api, known.get("stamps", 0))
        if "stamps" not in known:
            stamps.total = stamps.later_than(0)
        flying = SQLiteStamps(connection, api + IN_FLIGHT, known.get("flying", 0))
        return shared, stamps, flying, row[1] if row else self._booted

    def _store(
        self,
        connection: sqlite3.Connection,
        api: str,
        shared: ApiState,
        stamps: "SQLiteStamps",
        flying: "SQLiteStamps",
    ) -> None:
        known = {name: getattr(shared, name) for name in SHARED} | {"stamps": stamps.total, "flying": flying.total}
        connection.execute("INSERT OR REPLACE INTO apis VALUES (?, ?, ?)", (api, self._booted, json.dumps(known)))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _open(self) -> sqlite3.Connection:
        self._booted = self._boot()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last steps, but then nobody sends
        connection.executescript(SCHEMA)
        return connection

    def close(self) -> None:
        """Close the file; the next step opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, for the other strategies of `limits`."""
        now = time.time()
        with self._transaction() as connection:
            connection.execute("DELETE FROM counters WHERE expires <= ?", (now,))
            row = connection.execute(
                "INSERT INTO counters (key, amount, expires) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET amount = amount + excluded.amount RETURNING amount",
                (key, amount, now + expiry),
            ).fetchone()
            return int(row[0])

    def get(self, key: str) -> int:
        """The count under a key."""
        return int(self._counter(key)[0])

    def get_expiry(self, key: str) -> float:
        """When the count under a key ends, in seconds since 1970."""
        return self._counter(key)[1]

    def _counter(self, key: str) -> tuple[int, float]:
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT amount, expires FROM counters WHERE key = ? AND expires > ?", (key, time.time())
            ).fetchone()
        return (row[0], row[1]) if row else (0, time.time())

    def check(self) -> bool:
        """Whether the file can be written to."""
        try:
            with self._transaction():
                return True
        except (sqlite3.Error, OSError):
            return False

    def reset(self) -> int | None:
        """Forget everything."""
        with self._transaction() as connection:
            counts: list[int] = [
                connection.execute(f"DELETE FROM {table}").rowcount  # noqa: S608  names of our own tables
                for table in ("permits", "apis", "counters")
            ]
            return sum(counts)

    def clear(self, key: str) -> None:
        """Forget a key: a counter of other strategies, or an api. On purpose, so it is not told again."""
        self._known = {known: what for known, what in self._known.items() if known[0] != key}
        with self._transaction() as connection:
            connection.execute("DELETE FROM counters WHERE key = ?", (key,))
            connection.execute("DELETE FROM permits WHERE api IN (?, ?)", (key, key + IN_FLIGHT))
            connection.execute("DELETE FROM apis WHERE api = ?", (key,))


class SQLiteStamps:
    """The stamps of one api within a transaction. Their number is kept, since SQLite would have to count."""

    def __init__(self, connection: sqlite3.Connection, api: str, total: int) -> None:
        self._execute, self._api, self.total = connection.execute, api, total

    def put(self, permit: str, moment: int) -> None:
        """Add a permit, or move it."""
        moved = self._execute("UPDATE permits SET moment = ? WHERE api = ? AND permit = ?", (moment, self._api, permit))
        if not moved.rowcount:
            self._execute("INSERT INTO permits VALUES (?, ?, ?)", (self._api, permit, moment))
            self.total += 1

    def remove(self, permit: str) -> None:
        """Forget a permit, if it is there."""
        self.total -= self._execute("DELETE FROM permits WHERE api = ? AND permit = ?", (self._api, permit)).rowcount

    def moment(self, permit: str) -> int | None:
        """Where a permit stands, if it is there."""
        row = self._execute("SELECT moment FROM permits WHERE api = ? AND permit = ?", (self._api, permit)).fetchone()
        return row and int(row[0])

    def newest(self, skip: int, count: int) -> Sequence[int]:
        """That many moments, newest first, after skipping some."""
        count = min(count, self.total - skip)
        if count <= 0:
            return []
        newest_first = skip <= self.total // 2  # skipping means walking: begin at the nearer end
        order, walk = ("DESC", skip) if newest_first else ("ASC", self.total - skip - count)
        rows = self._execute(
            f"SELECT moment FROM permits WHERE api = ? ORDER BY moment {order} LIMIT ? OFFSET ?",  # noqa: S608  one of two words
            (self._api, count, walk),
        )
        moments = [moment for (moment,) in rows]
        return moments if newest_first else moments[::-1]

    def later_than(self, moment: int) -> int:
        """How many are later."""
        (count,) = self._execute(
            "SELECT count(*) FROM permits WHERE api = ? AND moment > ?", (self._api, moment)
        ).fetchone()
        return int(count)

    def first_after(self, moment: int) -> int | None:
        """The oldest that is later."""
        (oldest,) = self._execute(
            "SELECT min(moment) FROM permits WHERE api = ? AND moment > ?", (self._api, moment)
        ).fetchone()
        return None if oldest is None else int(oldest)

    def forget(self, until: int) -> None:
        """Drop all that are not later."""
        self.total -= self._execute("DELETE FROM permits WHERE api = ? AND moment <= ?", (self._api, until)).rowcount
