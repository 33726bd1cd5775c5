"""Named points of an import at which a test can inject a fault, without any code for it in the product.

Points of the database come from SQLAlchemy's events. Points of permits and requests come from a wrapped store and a
wrapped transport. A small import passes 200 points. `CrashPoints` counts them and injects its fault at one of them.
"""

import re
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import Connection, Engine, event

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import ApiClient, open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections
from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest, PermitStore
from import_pipeline.rules.status import Trigger
from import_pipeline.settings import Settings
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking.workers import Worker, this_process

#: The status that a statement gives to item rows -> the step of the import that it belongs to.
STEPS = {"processing": "claim", "completed": "marked", "failed": "failed", "pending": "released"}
#: The beginning of a statement -> the step.
OTHER_STEPS = {
    "INSERT INTO import_item_statuses": "page",
    "INSERT INTO imported_items": "written",
    "INSERT INTO parcels": "written",
    "DELETE FROM parcel_parts": "children removed",
    "INSERT INTO parcel_parts": "children written",
    "UPDATE import_item_statuses SET lease_expires_at": "lease renewed",
    "INSERT INTO import_slices": "keys",
    "UPDATE import_slices": "slice",
}


@dataclass
class CrashPoints:
    """Counts the points of an import and calls `strike` once: at the `at`-th of those that `counts` accepts.

    `strike` gets the point's name, and the database connection if there is one.

    A point before a statement has the name of its step; the points around the end of a transaction are "… commit" and
    "… committed". `passed` lists all points; `struck` is the point of the fault.
    """

    at: int = 0
    strike: Callable[[str, Connection | None], object] = lambda point, connection: None
    counts: Callable[[str], bool] = lambda name: True
    passed: list[str] = field(default_factory=list)
    struck: str | None = None
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, name: str, connection: Connection | None = None) -> None:
        """Pass a point."""
        with self._lock:
            self.passed.append(name)
            counted = self.counts(name)
            self._count += counted
            hit = counted and self._count == self.at
            if hit:
                self.struck = name
        if hit:
            self.strike(name, connection)


def step_of(statement: str, parameters: Any) -> str:
    """Return the step that a statement belongs to; for an unnamed one its SQL verb."""
    text = " ".join(statement.split())
    for beginning, step in OTHER_STEPS.items():
        if text.startswith(beginning):
            return step
    status = _status_set(text, parameters)
    return STEPS.get(status, "statement") if text.startswith("UPDATE import_item_statuses") else "statement"


def _status_set(text: str, parameters: Any) -> str:
    """Return the value of `SET status=`, the first column that such a statement sets."""
    if isinstance(parameters, list):
        parameters = parameters[0]
    if not re.search(r" SET status=", text) or not parameters:
        return ""
    return str(parameters["status"] if isinstance(parameters, dict) else parameters[0])


def watch(engine: Engine, points: CrashPoints) -> None:
    """Report the engine's statements and transactions to the points."""

    def execute(_: Any, statement: str, parameters: Any, context: Any) -> None:
        step = step_of(statement, parameters)
        if step != "statement":
            context.root_connection.info["step"] = step
        points.reach(step, context.root_connection)

    def execute_bare(_: Any, statement: str, context: Any) -> None:
        execute(None, statement, (), context)

    def commit(connection: Connection) -> None:
        points.reach(f"{connection.info.get('step', 'transaction')} commit", connection)

    def checked_in(_: Any, record: Any) -> None:
        points.reach(f"{record.info.pop('step', 'transaction')} committed")

    event.listen(engine, "do_execute", execute)
    event.listen(engine, "do_executemany", execute)
    event.listen(engine, "do_execute_no_params", execute_bare)
    event.listen(engine, "commit", commit)
    event.listen(engine, "checkin", checked_in)


@dataclass
class WatchedTransport(httpx.AsyncBaseTransport):
    """A transport with a point before and after each request."""

    inner: httpx.AsyncBaseTransport
    points: CrashPoints

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        self.points.reach("sent")
        response = await self.inner.handle_async_request(request)
        self.points.reach("received")
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self.inner.aclose()


@dataclass
class WatchedPermits:
    """A permit store with a point before and after each exchange."""

    inner: PermitStore
    points: CrashPoints

    @property
    def blocks(self) -> bool:
        """True if the wrapped store blocks."""
        return self.inner.blocks

    def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
        """Pass the request on."""
        self.points.reach("permit")
        result = self.inner.exchange(ask)
        self.points.reach("permit given")
        return result

    def close(self) -> None:
        """Close the inner store."""
        self.inner.close()


def import_past(
    points: CrashPoints,
    configured: Settings,
    worker: Worker | None = None,
    on_begin: Callable[[Connection], None] | None = None,
    declared: ImportSource | None = None,
) -> ImportSummary:
    """Import the demo API's items, or another source, and report the points after creating the tables.

    `on_begin` is called at the beginning of each transaction.
    """
    with open_installation(configured, configure([declared or ItemsSource()], configured)) as installation:
        source = installation.source("items" if declared is None else declared.name)
        watch(installation.database.engine, points)
        if on_begin is not None:
            event.listen(installation.database.engine, "begin", on_begin)

        def connect() -> AbstractAsyncContextManager[ApiClient]:
            transport = WatchedTransport(open_connections(limit=100), points)
            permits = WatchedPermits(open_permits(configured.redis_url, configured.limits_path), points)
            return open_api(source, configured, installation.clock, transport, permits=permits)

        row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), installation.clock)
        run = ImportRun(installation=installation, source=source, connect=connect, worker=worker or this_process())
        return execute_import(run, row.id)
