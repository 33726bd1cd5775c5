"""The lead of an import: read its list, wait for its other workers, end it. Any worker can take this leased role.

The run that starts an import has the lead first. If its lease expires, a shard takes the lead in its own process, next
to its own work. No launcher and no free slot of Dagster is needed.
"""

import asyncio
import copy
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection

from import_pipeline.errors import LeaseLost
from import_pipeline.importer.execution.phases import lead_on
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.lifecycle.take_over import Applicant, take_lead
from import_pipeline.importer.lifecycle.workers import liveness
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.database_wait import patience_of
from import_pipeline.rules.sharding import LEAD, may_take_lead
from import_pipeline.tracking import heartbeats, imports, leases
from import_pipeline.tracking.database.engine import when_committed
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import ImportLease, ShardLease


class Leadership:
    """Watches the lead of a shard's import, and takes and executes it if its worker is dead."""

    def __init__(self, run: ImportRun, shard: ShardLease) -> None:
        self.lease: ImportLease | None = None  #: of the lead, while this shard has it
        self.gave_up = False  #: this shard has ended the import, which was resumed too often without progress
        self._run = run
        self._shard = shard
        self._row: ImportRow | None = None
        self._run_before: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._is_closed = False

    @property
    def numbers(self) -> set[int]:
        """The worker numbers that this process holds."""
        own = {self._shard.number}
        return own if self.lease is None else own | {LEAD}

    def beat(self, connection: Connection, row: ImportRow, pulse: Pulse) -> None:
        """Renew the lease of the lead, or take it from a dead worker. Called with each beat of the shard."""
        now = self._run.installation.clock.now()
        if self.lease is not None:
            try:
                leases.write(
                    connection, self.lease, now, blocked_until=pulse.blocked_until, **heartbeats.clock_values(pulse)
                )
            except LeaseLost:
                self.lease = None
        elif may_take_lead(
            liveness(row, self._shard.seconds, pulse.monotonic),
            now,
            is_cancelled=row.cancel_requested_at is not None,
            blocked_until=row.blocked_until,
        ):
            with suppress(LeaseLost):
                self._take(connection, row)

    def take_now(self) -> ImportLease:
        """Take the lead to end the import. Raises LeaseLost if another worker has it."""

        def unit(connection: Connection) -> None:
            row = imports.get(connection, self._shard.import_id)
            if not self._applicant().finds_dead_worker(row):
                raise self._shard.lost()
            self._take(connection, row)

        self._run.installation.database.transact(unit, patience_of(self._run.source))
        if self.lease is None:
            raise self._shard.lost()
        return self.lease

    async def serve(self, context: ImportContext) -> None:
        """Execute the lead (all but the items) whenever this shard has taken it, until `close`."""
        self._loop = asyncio.get_running_loop()
        context.stop.on_request(self._changed.set)
        served: ImportLease | None = None
        while not (self._is_closed or context.stop.requested.is_set()):
            lease = self.lease
            if lease is None or lease is served:
                await self._changed.wait()
                self._changed.clear()
                continue
            served = lease
            await self._lead(context, lease)

    def close(self) -> None:
        """End `serve`."""
        self._is_closed = True
        self._changed.set()

    async def _lead(self, context: ImportContext, lease: ImportLease) -> None:
        if self._run_before is not None and self._run_before != self._run.run_id:
            await context.in_writer_thread(partial(self._run.on_lead, self._run_before))
        led = copy.copy(context)
        led.lease, led.row = lease, self._row or context.row
        with suppress(LeaseLost):  # another worker leads; this one remains a shard
            await lead_on(led)
        context.discovered = context.discovered or led.discovered
        context.work_available.set()

    def _take(self, connection: Connection, row: ImportRow) -> None:
        taken = take_lead(connection, self._applicant(), row, self._shard.number)
        if taken is None:
            when_committed(connection, self._given_up)
            return
        lease = ImportLease(
            import_id=row.id, fence=taken.fence, worker=f"{self._shard.worker}-lead", seconds=self._shard.seconds
        )
        when_committed(connection, partial(self._taken, lease, taken, row.dagster_run_id))

    def _applicant(self) -> Applicant:
        run, clock = self._run, self._run.installation.clock
        return Applicant(
            source=run.source, worker=run.worker, run_id=run.run_id, now=clock.now(), monotonic=clock.monotonic()
        )

    def _taken(self, lease: ImportLease, row: ImportRow, run_before: str | None) -> None:
        self._row, self._run_before, self.lease = row, run_before, lease
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed, so the work is over
                self._loop.call_soon_threadsafe(self._changed.set)

    def _given_up(self) -> None:
        self.gave_up = True
