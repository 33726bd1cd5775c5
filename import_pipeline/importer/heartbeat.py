"""The heartbeat: a thread of its own, so that a busy event loop never looks like a dead process."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from import_pipeline.clock import Clock
from import_pipeline.errors import DatabaseUnavailable, ImportCancelled, ImportPipelineError, LeaseLost
from import_pipeline.importer.database_wait import NO_WAIT
from import_pipeline.rules.database_errors import Meaning
from import_pipeline.tracking import imports, leases, shards
from import_pipeline.tracking.database import Database
from import_pipeline.tracking.imports import ImportRow, Pulse
from import_pipeline.tracking.leases import Lease

#: Seconds between two beats at most; a person's wish to cancel is read with each.
INTERVAL_SECONDS = 1.0


class Heartbeat:
    """Renews the lease, adds the counters and reads wishes, every second (or four times in a short lease).

    `pulse` gives what the transaction of a beat is to count along, `also` is called in it with the import's row.
    `on_end` is called once, from the thread, when the work must stop: with LeaseLost, ImportCancelled, or
    DatabaseUnavailable once it has lasted for the lease and for `patience_seconds`. A lease that has run out unrenewed
    may be another worker's by then: the next beat finds out.
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
    ) -> None:
        self._database = database
        self._lease = lease
        self._clock = clock
        self._pulse = pulse
        self._on_end = on_end
        self._patience_seconds = max(lease.seconds, patience_seconds)
        self._also = also
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="import-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def beat(self) -> None:
        """One beat; raises what ends the work."""
        beat = imports.beat if self._lease.shard is None else shards.beat

        def unit(connection: Connection) -> ImportRow:
            # First, lest items that are being stored come before the requests that were sent for them.
            leases.hold(connection, self._lease, to_write=True)
            pulse = self._pulse(connection)
            row = beat(connection, self._lease, self._clock.now(), pulse)
            self._also(connection, row, pulse)
            return row

        row = self._database.transact(unit, NO_WAIT)
        if row.cancel_requested_at is not None:
            raise ImportCancelled(f"cancelled by wish of {row.requested_by or 'a person'}")

    def settle(self) -> None:
        """The last beat; raises what ends the work. What a shard requested counts even where the import has ended."""
        try:
            self.beat()
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
        while not self._stop.wait(interval):
            try:
                self.beat()
                renewed_at = self._clock.monotonic()
            except DatabaseUnavailable as error:
                if error.meaning == Meaning.REPLACED or self._clock.monotonic() - renewed_at > self._patience_seconds:
                    self._on_end(error)
                    return
            except (LeaseLost, ImportCancelled) as error:
                self._on_end(error)
                return
