"""The heartbeat: a thread of its own, so that a busy event loop never looks like a dead process."""

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
from import_pipeline.rules.database_errors import Meaning
from import_pipeline.tracking import events, heartbeats, leases, shards
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.resumes import said_of
from import_pipeline.tracking.workers import machine

#: Seconds between two beats at most; a person's wish to cancel is read with each.
INTERVAL_SECONDS = 1.0
#: This host's clock may differ from the database's by so much.
MOST_SKEW_SECONDS = 5.0


class Heartbeat:
    """Renews the lease, adds the counters and reads wishes, every second (or four times in a short lease).

    `pulse` gives what the transaction of a beat is to count along, `also` is called in it with the import's row.
    `on_end` is called once, from the thread, when the work must stop: with LeaseLost, ImportCancelled, HeartbeatFailed
    for an error that is none of those, or DatabaseUnavailable once it has lasted for the lease and for
    `patience_seconds`. A lease that has run out unrenewed may be another worker's by then: the next beat finds out.
    After a doubt of `assurance` a beat lists the claims that are still held.
    `began`: by the monotonic clock, from when on the time counts.
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
        also: Callable[[Connection, ImportRow, Pulse], None] = lambda connection, row, pulse: None,
        began: float | None = None,
        assurance: Ownership | None = None,
    ) -> None:
        self._database = database
        self._lease = lease
        self._clock = clock
        self._pulse = pulse
        self._on_end = on_end
        self._patience_seconds = max(lease.seconds, patience_seconds)
        self._also = also
        self._counted_to = clock.monotonic() if began is None else began
        self._has_reported_skew = False
        self._assurance = assurance
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
        """Let the next beat come at once."""
        self._wake.set()

    def beat(self) -> None:
        """One beat; raises what ends the work."""
        beat = heartbeats.beat if self._lease.shard is None else shards.beat

        def unit(connection: Connection) -> tuple[ImportRow, list[int] | None]:
            # First, lest items that are being stored come before the requests that were sent for them.
            leases.hold(connection, self._lease, to_write=True)
            pulse = replace(self._pulse(connection), monotonic=monotonic, elapsed=monotonic - self._counted_to)
            row = beat(connection, self._lease, self._clock.now(), pulse)
            self._also(connection, row, pulse)
            return row, leases.held_claims(connection, self._lease) if in_doubt else None

        monotonic = self._clock.monotonic()
        assurance = self._assurance
        moment = None if assurance is None else assurance.moment()  # before the look at the doubt
        in_doubt = assurance is not None and assurance.is_doubtful
        row, held = self._database.transact(unit, NO_WAIT)
        self._counted_to = monotonic
        if assurance is not None and moment is not None:
            assurance.renewed(moment, held)
        self._report_skew()
        if row.cancel_requested_at is not None:
            raise ImportCancelled(f"cancelled by wish of {row.requested_by or 'a person'}")

    def _report_skew(self) -> None:
        """Record once that this host's clock is not the database's; times are the database's all the same."""
        server_time = self._database.server_time
        ahead = server_time.ahead_seconds if server_time is not None else None
        if self._has_reported_skew or ahead is None or abs(ahead) < MOST_SKEW_SECONDS:
            return
        self._has_reported_skew = True
        sentence = (
            f"The clock of {machine()} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's, "
            "whose time counts. Let both be set by NTP."
        )
        now = self._clock.now()
        self._database.transact(
            lambda connection: events.note(connection, self._lease.import_id, now, events.CLOCK, sentence), NO_WAIT
        )

    def settle(self) -> None:
        """The last beat; raises what ends the work. What a shard requested counts even where the import has ended."""
        try:
            self._beat_or_fail()
        except LeaseLost:
            if self._lease.shard is not None:
                self._database.transact(
                    lambda connection: shards.settle(
                        connection, self._lease, self._clock.now(), self._pulse(connection)
                    ),
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
                if error.meaning == Meaning.REPLACED or self._clock.monotonic() - renewed_at > self._patience_seconds:
                    self._on_end(error)
                    return
            except ImportPipelineError as error:
                self._on_end(error)
                return

    def _beat_or_fail(self) -> None:
        """One beat. An unforeseen error ends the work, too, lest it go on under a lease that runs out."""
        try:
            self.beat()
        except ImportPipelineError:
            raise
        except Exception as error:
            raise HeartbeatFailed(f"the heartbeat failed: {said_of(error)}") from error
