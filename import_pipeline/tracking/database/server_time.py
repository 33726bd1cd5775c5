"""The time of the database server, read within transactions that run anyway."""

import time
from datetime import UTC, datetime

from sqlalchemy import Connection, text

#: Seconds between two reads of the server's clock, each within a transaction that runs anyway.
READ_SECONDS = 10.0


def steady_seconds() -> float:
    """Return the seconds of a clock that is never set, and that continues while the machine sleeps if possible."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class ServerTime:
    """The offset of the server's clock to the steady clock of this process, as of the latest read."""

    def __init__(self) -> None:
        self._read_at: float | None = None
        self._offset = 0.0  #: server - steady, in seconds
        self.ahead_seconds: float | None = None  #: this host's wall clock - the server's; None: never read

    def read(self, connection: Connection) -> None:
        """Read the server's clock within this transaction, if the latest reading is old."""
        before = steady_seconds()
        if self._read_at is not None and before - self._read_at < READ_SECONDS:
            return
        query = text("SELECT extract(epoch FROM clock_timestamp())")
        theirs = float(connection.execute(query).scalar_one())
        self._read_at = steady_seconds()
        middle = (before + self._read_at) / 2
        self._offset = theirs - middle
        self.ahead_seconds = time.time() - (self._offset + self._read_at)

    def now(self) -> datetime | None:
        """Return the server's time; None before the first read."""
        if self._read_at is None:
            return None
        return datetime.fromtimestamp(self._offset + steady_seconds(), UTC)
