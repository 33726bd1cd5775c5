"""Wait for the tracking database during an import, and report the wait."""

import logging
import threading
from contextlib import suppress
from datetime import timedelta

from import_pipeline.clock import Clock, Random
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.logs import report
from import_pipeline.rules.database_errors import ErrorKind
from import_pipeline.tracking import events
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.retrying import Patience

#: Shorter waits are not reported.
REPORTED_AFTER_SECONDS = 1.0
#: Repeat once immediately after a deadlock; otherwise fail.
NO_WAIT = Patience(seconds=0.0)
#: For an action that a person or Dagster's daemon waits for.
ACTION = Patience(seconds=10.0)


def patience_of(source: ImportSource) -> Patience:
    """Return the patience for transactions before and after an import's work: the source's `max_outage`."""
    return Patience(seconds=source.max_outage)


class DatabaseWait:
    """The patience of a running import with its database. `halt` ends it.

    Waits are reported in the log and, if possible, as an event: a lock on the user's table still lets events be
    written, so that `show` gives the reason for the wait.
    """

    def __init__(self, database: Database, source: ImportSource, import_id: int, clock: Clock, chance: Random) -> None:
        self._database, self._source, self._import_id, self._clock = database, source, import_id, clock
        self._is_reported = False
        self._halt = threading.Event()
        self.patience = Patience(
            seconds=source.max_outage,
            wait=self._halt.wait,
            monotonic=clock.monotonic,
            chance=chance,
            report=self._report_wait,
            recovered=self._report_recovery,
        )

    def halt(self) -> None:
        """Stop waiting: the work is to end."""
        self._halt.set()

    def _report_wait(self, error: DatabaseUnavailable, seconds: float) -> None:
        if not self._is_reported and error.meaning != ErrorKind.CONFLICT:
            self._is_reported = True
            sentence = f"{error}; retrying for up to {self._source.max_outage:g} s"
            report(
                "database_waits", sentence, level=logging.WARNING, import_id=self._import_id, source=self._source.name
            )
        if error.meaning == ErrorKind.LOCKED:
            until = self._clock.now() + timedelta(seconds=max(seconds, REPORTED_AFTER_SECONDS))
            self._note(events.WAITS, f"Waiting: {error}.", reason=str(error), until=until.isoformat())

    def _report_recovery(self, error: DatabaseUnavailable, seconds: float) -> None:
        self._is_reported = False
        if seconds >= REPORTED_AFTER_SECONDS:
            self._note(
                "import_goes_on", f"The database is usable again after {seconds:.0f} s. The problem was: {error}."
            )

    def _note(self, action: str, message: str, **metadata: str) -> None:
        now = self._clock.now()
        with suppress(DatabaseUnavailable):  # the log has recorded it
            self._database.transact(
                lambda connection: events.note(connection, self._import_id, now, action, message, **metadata), NO_WAIT
            )
