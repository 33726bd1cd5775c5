"""The database server's clock: the one clock of all processes on all hosts that share a Postgres.

What one host writes, another one judges: heartbeats, leases, slots, retries. Their own clocks differ, and are set.
"""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from import_pipeline.clock import SystemClock

if TYPE_CHECKING:
    from import_pipeline.tracking.database.engine import Database

#: Seconds between two looks at the server's clock, each with a transaction that takes place anyway.
LOOK_SECONDS = 10.0


def steady_seconds() -> float:
    """A clock that is never set, and that goes on while the machine sleeps, if the platform has one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class ServerTime:
    """How far the server's clock is from the steady clock of this process, as of the latest look."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._offset = 0.0  #: server - steady, in seconds
        self.ahead_seconds: float | None = None  #: this host's wall clock - the server's; None: never looked

    def look(self, connection: Connection) -> None:
        """Ask the server within this transaction, if the latest answer is old."""
        before = steady_seconds()
        if self._looked_at is not None and before - self._looked_at < LOOK_SECONDS:
            return
        asked = text("SELECT extract(epoch FROM clock_timestamp())")
        theirs = float(connection.execute(asked).scalar_one())
        self._looked_at = steady_seconds()
        middle = (before + self._looked_at) / 2
        self._offset = theirs - middle
        self.ahead_seconds = time.time() - (self._offset + self._looked_at)

    def now(self) -> datetime | None:
        """The server's time; None before the first look."""
        if self._looked_at is None:
            return None
        return datetime.fromtimestamp(self._offset + steady_seconds(), UTC)


class ServerClock(SystemClock):
    """The server's clock as a clock to pass in. Setting this host's clock changes nothing about it."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    def now(self) -> datetime:
        """The wall-clock time of the server; of this host until the server was asked."""
        server_time = self._database.server_time
        return (server_time.now() if server_time is not None else None) or super().now()


def clock_of(database: "Database") -> SystemClock:
    """The clock that all processes on this database share: the server's; on SQLite, this machine's own."""
    return SystemClock() if database.is_sqlite else ServerClock(database)
