"""The database server's clock, which all processes on all hosts that share a Postgres use.

One host writes heartbeats, leases, slots and retries, and another one compares them. The hosts' clocks differ, and
can be set at any time.
"""

from datetime import datetime

from import_pipeline.clock import SystemClock
from import_pipeline.tracking.database.engine import Database


class ServerClock(SystemClock):
    """A clock that shows the server's time. Setting this host's clock does not change it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        """Return the server's wall-clock time; this host's until the server's clock was read."""
        server_time = self._database.server_time
        return (server_time.now() if server_time is not None else None) or super().now()


def clock_of(database: Database) -> SystemClock:
    """Return the clock that all processes on this database share: the server's, or on SQLite this machine's."""
    return SystemClock() if database.is_sqlite else ServerClock(database)
