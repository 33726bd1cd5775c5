"""What the actions of one import share while it runs."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from import_pipeline.clock import Clock, Random
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.runtime.api_client import ApiClient
from import_pipeline.importer.runtime.circuit import Circuit
from import_pipeline.importer.runtime.database_wait import DatabaseWait
from import_pipeline.importer.runtime.ownership import Ownership
from import_pipeline.importer.runtime.progress import NullListener, ProgressListener
from import_pipeline.importer.runtime.request_counter import PendingCounts
from import_pipeline.importer.runtime.stop import StopSignal
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import events, imports
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.retrying import Patience
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease

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
    workers: int = 1  #: runs that are to work on the import at once, this one included
    assurance: Ownership | None = None  #: that what this worker holds is still its own
    discovered: bool = False  #: whether the list has been read to its end
    work_available: asyncio.Event = field(default_factory=asyncio.Event)  #: there may be something new to claim
    circuit: Circuit = field(init=False)  #: open while the API cannot be reached
    pending_counts: PendingCounts = field(
        init=False
    )  #: what was sent and is to be counted with the next thing that is stored
    _patience: Patience = field(init=False)
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "import-writer"))

    def __post_init__(self) -> None:
        self.circuit = Circuit(self.clock, self.chance, self.record_wait)
        self.pending_counts = PendingCounts(self.api.tally)
        waiting = DatabaseWait(self.database, self.source, self.row.id, self.clock, self.chance)
        self.stop.on_request(waiting.halt)
        self._patience = waiting.patience

    async def write(self, action: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a ledger function in a transaction of its own, on the writer's thread; the event loop goes on.

        It runs again where the database ends the transaction for another one, is locked or is gone for a moment.
        """

        def unit(connection: Connection) -> T:
            return action(connection, *args, **kwargs)

        return await self.in_writer_thread(lambda: self.transact(unit))

    def transact(self, unit: Callable[[Connection], T]) -> T:
        """The same for a call that is on the writer's thread already."""
        return self.database.transact(unit, self._patience)

    async def in_writer_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call on the writer's thread, in the order of the calls."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    async def confirm(self, claim: int | None = None) -> None:
        """Wait until it is sure that the lease stands. Raises ClaimLost for a claim that does not."""
        if self.assurance is not None:
            await self.assurance.confirm(claim)

    async def note(self, action: str, message: str, **metadata: Any) -> None:
        """Record what happens to the import."""
        await self.write(events.note, self.row.id, self.clock.now(), action, message, **metadata)

    async def record_wait(self, reason: str, seconds: float) -> None:
        """Say why the import stands still for so long, before it does; a moment needs no word."""
        if seconds < 1:
            return
        until = self.clock.now() + timedelta(seconds=seconds)
        message = f"{reason[:1].upper()}{reason[1:]}; tries again in {seconds:.0f} s."
        await self.note(events.WAITS, message, reason=reason, until=until.isoformat())

    async def look_for_end_of_list(self) -> None:
        """Ask the database whether the list has been read to its end, where another worker reads it."""
        if self.lease.shard is not None and not self.discovered:
            self.discovered = is_listed(await self.write(imports.get, self.row.id))

    def close(self) -> None:
        """Wait for what is being written."""
        self._writer.shutdown(wait=True)

    @property
    def token_setting(self) -> str:
        """The name of the setting that holds the source's token."""
        return variable_prefix(self.source.name) + "TOKEN"

    @property
    def options(self) -> ImportOptions:
        """The options that the import was created with."""
        return self.row.options


def is_listed(row: ImportRow) -> bool:
    """Whether the import's list has been read to its end, or its items were chosen."""
    return bool((row.checkpoint or {}).get("complete"))
