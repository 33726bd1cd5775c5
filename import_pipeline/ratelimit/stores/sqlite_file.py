"""A SQLite file that the processes of one machine share, and the machine's clock that its moments are on."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from import_pipeline.state_folder import create_folder

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def monotonic_micros() -> int:
    """Return the microseconds since boot, including suspension if the system counts it."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000


def boot_id() -> str:
    """Return an identifier of the current boot; empty if the system has none."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


class SQLiteFile:
    """One connection for all threads of the process, opened by the first transaction.

    `synchronous` is SQLite's setting: NORMAL may lose the last transactions in a power cut, FULL may not. `patience`:
    seconds to wait for another process's transaction. `opening` is called before each opening.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        synchronous: str,
        patience: float,
        opening: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self._schema, self._synchronous, self._patience, self._opening = schema, synchronous, patience, opening
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Execute the block in a transaction that excludes all other writers. Raises sqlite3.Error and OSError."""
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
        self._opening()
        create_folder(self.path.parent)
        connection = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.executescript(self._schema)
        return connection

    def close(self) -> None:
        """Close the file; the next transaction opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
