"""The heartbeat of a worker. It has its own thread, so that a busy event loop does not look like a dead process."""

import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from import_pipeline.clock import Clock
from import_pipeline.errors import (
    DatabaseUnavailable,
    HeartbeatFailed,
    ImportCancelled,
    ImportPipelineError,
    LeaseLost,
)
from import_pipeline.importer.runtime.database_wait import NO_WAIT
from import_pipeline.importer.runtime.ownership import Ownership
from import_pipeline.rules.database_errors import ErrorKind
from import_pipeline.tracking import events, heartbeats, leases, shards
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease, ShardLease
from import_pipeline.tracking.resumes import describe_error
from import_pipeline.tracking.workers import machine

#: The longest time between two beats; each reads whether a person has cancelled the import.
INTERVAL_SECONDS = 1.0
#: The largest difference from the database's clock that is not reported.
MOST_SKEW_SECONDS = 5.0


#: Called with each beat, in its transaction: with the import's row, and what the beat stored.
OnBeat = Callable[[Connection, ImportRow, Pulse], None]


def nothing_else(connection: Connection, row: ImportRow, pulse: Pulse) -> None:
    """Do nothing beside the beat."""


class Heartbeat:
    """Renews the lease, adds the counters and reads cancel requests, each second (or four times in a short lease).

    `pulse` returns the counts that the transaction of a beat records; `on_beat` runs in it with the import's row.
    `on_end` is called once, from the thread, when the work must stop. It gets LeaseLost, ImportCancelled,
    HeartbeatFailed for any other error, or DatabaseUnavailable after an outage as long as the lease and
    `patience_seconds`. A lease that expired meanwhile may belong to another worker; the next beat finds out.
    If `ownership` is in doubt, a beat lists the claims that are still held. `began` is the monotonic time from which
    the elapsed time counts.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        clock: Clock,
        *,
        pulse: Callable[[Connection], Pulse],
        on_end: Callable[[ImportPipelineError], object],
        patience_seconds: float = 0.0,
        on_beat: OnBeat = nothing_else,
        began: float | None = None,
        ownership: Ownership | None = None,
    ) -> None:
        self._database = database
        self._lease = lease
        self._clock = clock
        self._pulse = pulse
        self._on_end = on_end
        self._patience_seconds = max(lease.seconds, patience_seconds)
        self._on_beat = on_beat
        self._counted_to = clock.monotonic() if began is None else began
        self._has_reported_skew = False
        self._ownership = ownership
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="import-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def beat_now(self) -> None:
        """Trigger the next beat immediately."""
        self._wake.set()

    def beat(self) -> None:
        """Beat once. Raises the error that ends the work."""

        def unit(connection: Connection) -> tuple[ImportRow, list[int] | None]:
            # Lock first, so that the requests for an item are recorded before the item itself.
            leases.hold(connection, self._lease, to_write=True)
            pulse = replace(self._pulse(connection), monotonic=monotonic, elapsed=monotonic - self._counted_to)
            row = self._store(connection, pulse)
            self._on_beat(connection, row, pulse)
            return row, leases.held_claims(connection, self._lease) if in_doubt else None

        monotonic = self._clock.monotonic()
        ownership = self._ownership
        moment = None if ownership is None else ownership.moment()  # read before the doubt is
        in_doubt = ownership is not None and ownership.is_doubtful
        row, held = self._database.transact(unit, NO_WAIT)
        self._counted_to = monotonic
        if ownership is not None and moment is not None:
            ownership.renewed(moment, held)
        self._report_skew()
        if row.cancel_requested_at is not None:
            raise ImportCancelled(f"cancelled by {row.requested_by or 'a person'}")

    def _store(self, connection: Connection, pulse: Pulse) -> ImportRow:
        """Store the beat in the row of the import or of the shard; return the import's."""
        match self._lease:
            case ShardLease() as lease:
                return shards.beat(connection, lease, self._clock.now(), pulse)
            case lease:
                return heartbeats.beat(connection, lease, self._clock.now(), pulse)

    def _report_skew(self) -> None:
        """Record once that this host's clock differs from the database's. All stored times are the database's."""
        server_time = self._database.server_time
        ahead = server_time.ahead_seconds if server_time is not None else None
        if self._has_reported_skew or ahead is None or abs(ahead) < MOST_SKEW_SECONDS:
            return
        self._has_reported_skew = True
        sentence = (
            f"The clock of {machine()} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's, "
            "whose time counts. Synchronize both by NTP."
        )
        now = self._clock.now()
        self._database.transact(
            lambda connection: events.note(connection, self._lease.import_id, now, events.CLOCK_SKEW, sentence), NO_WAIT
        )

    def settle(self) -> None:
        """Beat for the last time. Requests of a shard count even if the import has ended. Raises as `beat` does."""
        try:
            self._beat_or_fail()
        except LeaseLost:
            if isinstance(lease := self._lease, ShardLease):
                self._database.transact(
                    lambda connection: shards.count_rest(connection, lease, self._clock.now(), self._pulse(connection)),
                    NO_WAIT,
                )
            raise

    def _run(self) -> None:
        interval = min(INTERVAL_SECONDS, self._lease.seconds / 4)
        renewed_at = self._clock.monotonic()
        while True:
            self._wake.wait(interval)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self._beat_or_fail()
                renewed_at = self._clock.monotonic()
            except DatabaseUnavailable as error:
                if error.meaning == ErrorKind.REPLACED or self._clock.monotonic() - renewed_at > self._patience_seconds:
                    self._on_end(error)
                    return
            except ImportPipelineError as error:
                self._on_end(error)
                return

    def _beat_or_fail(self) -> None:
        """Beat once. An unforeseen error ends the work too: without beats the lease would run out unnoticed."""
        try:
            self.beat()
        except ImportPipelineError:
            raise
        except Exception as error:
            raise HeartbeatFailed(f"the heartbeat failed: {describe_error(error)}") from error
