"""The context of a running import, shared by its phases."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Connection

from import_pipeline.clock import Clock, Random
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.runtime.api_client import ApiClient
from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.importer.runtime.database_wait import DatabaseWait
from import_pipeline.importer.runtime.ownership import Ownership
from import_pipeline.importer.runtime.progress import NullListener, ProgressListener, RetryWait
from import_pipeline.importer.runtime.request_counter import PendingCounts
from import_pipeline.importer.runtime.stop import StopSignal
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import events, imports
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.retrying import Patience
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.wording import capitalized

T = TypeVar("T")


@dataclass(kw_only=True)
class ImportContext:
    """One import in progress: its row and lease, its API, and the one thread that writes for it."""

    source: ImportSource
    database: Database
    row: ImportRow
    lease: Lease
    api: ApiClient
    clock: Clock
    chance: Random
    stop: StopSignal
    listener: ProgressListener = field(default_factory=NullListener)
    workers: int = 1  #: workers that share the import, this one included
    ownership: Ownership | None = None  #: confirms before each request that the lease and the claim still stand
    discovered: bool = False  #: the list has been read to its end
    work_available: asyncio.Event = field(default_factory=asyncio.Event)  #: set when there may be new items to claim
    circuit: Circuit = field(init=False)  #: open while the API cannot be reached
    pending_counts: PendingCounts = field(init=False)  #: requests sent and not yet recorded
    retry_wait: RetryWait = field(init=False)
    _patience: Patience = field(init=False)
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "import-writer"))

    def __post_init__(self) -> None:
        self.circuit = Circuit(self.clock, self.chance, self.record_wait)
        self.pending_counts = PendingCounts(self.api.tally)
        self.retry_wait = RetryWait(self.clock)
        waiting = DatabaseWait(self.database, self.source, self.row.id, self.clock, self.chance)
        self.stop.on_request(waiting.halt)
        self._patience = waiting.patience

    async def write(self, action: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a tracking function in its own transaction, on the writer's thread, without blocking the event loop.

        The transaction is repeated after a deadlock, and while the database is locked or unreachable for a moment.
        """

        def unit(connection: Connection) -> T:
            return action(connection, *args, **kwargs)

        return await self.in_writer_thread(lambda: self.transact(unit))

    def transact(self, unit: Callable[[Connection], T]) -> T:
        """Run a transaction; for callers that are on the writer's thread already."""
        return self.database.transact(unit, self._patience)

    async def in_writer_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call on the writer's thread. Calls run in order, one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    async def confirm(self, claims: Collection[int] = ()) -> None:
        """Wait until the lease is confirmed. Raises ClaimLost if one of the claims is lost."""
        if self.ownership is not None:
            await self.ownership.confirm(claims)

    async def note(self, action: str, message: str, **metadata: Any) -> None:
        """Record an event of the import."""
        await self.write(events.note, self.row.id, self.clock.now(), action, message, **metadata)

    async def record_wait(self, reason: str, seconds: float) -> None:
        """Record why the import is about to wait, and until when. Waits under a second are not recorded."""
        if seconds < 1:
            return
        until = self.clock.now() + timedelta(seconds=seconds)
        message = f"{capitalized(reason)}; tries again in {seconds:.0f} s."
        await self.note(events.WAITS, message, reason=reason, until=until.isoformat())

    def next_attempt(self, failures: int, requested: timedelta | None = None) -> datetime | None:
        """Return the time of the next try after so many failed ones; None if the source allows no further one.

        `requested` is the shortest wait that the API or the source asks for.
        """
        retry = self.source.retry
        if failures >= retry.tries:
            return None
        delay = retry_delay(failures, retry.backoff, self.chance())
        return self.clock.now() + max(delay, requested or delay)

    async def close_circuit(self, circuit: Circuit, recovery: str) -> None:
        """Close a circuit that is open, and record the recovery, such as `The API answers again`."""
        seconds = circuit.open_for
        if seconds is not None:
            circuit.close()
            await self.note("import_goes_on", f"{recovery} after {seconds:.0f} s.")

    async def refresh_discovered(self) -> None:
        """Read from the database whether the list is complete, if another worker reads it."""
        if not (self.lease.is_lead or self.discovered):
            self.discovered = (await self.write(imports.get, self.row.id)).read_state.complete

    def close(self) -> None:
        """Wait until the writer's thread has finished."""
        self._writer.shutdown(wait=True)

    @cached_property
    def token_setting(self) -> str:
        """The name of the setting that holds the source's token, or of the server that granted it."""
        return self.api.token_server or variable_prefix(self.source.name) + "TOKEN"

    @property
    def options(self) -> ImportOptions:
        """The options that the import was created with."""
        return self.row.options
