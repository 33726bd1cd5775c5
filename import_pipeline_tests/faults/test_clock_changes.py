"""The wall clock is set while an import runs: nothing is lost, sent too early or delayed for hours."""

from datetime import timedelta

import httpx
import pytest

from import_pipeline.clock import SystemClock
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections
from import_pipeline.rules.status import Trigger
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.faults.invariants import assert_invariants
from import_pipeline_tests.support.imports import counts, demo_api, settings

ITEMS = 40
LIMITS = "30/1 second"


class SetClock(SystemClock):
    """A clock that the test sets."""

    def __init__(self):
        self.set_by = timedelta(0)

    def now(self):
        """Return the wall-clock time, as set."""
        return super().now() + self.set_by


class Connections(httpx.AsyncBaseTransport):
    """Real connections; the 20th request sets the clock."""

    def __init__(self, clock, jump):
        self.inner, self.clock, self.jump = open_connections(limit=100), clock, jump
        self.count = 0

    async def handle_async_request(self, request):
        """Send the request."""
        self.count += 1
        if self.count == 20:
            self.clock.set_by = self.jump
        return await self.inner.handle_async_request(request)

    async def aclose(self):
        """Close the connections."""
        await self.inner.aclose()


@pytest.mark.nightly
@pytest.mark.parametrize(
    "jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=4000)], ids=["ahead", "back", "far ahead"]
)
def test_an_import_continues_when_the_clock_is_set(home, jump, record_property):
    """Some items have failed before, and wait for their next try."""
    faults = ("3=status:500*2", "5=status:500*1", "9=drop*3", "30=status:500*1")
    with demo_api(items=ITEMS, limits=LIMITS, faults=faults) as url:
        concurrency = {"ITEMS_CONCURRENCY": "3", "ITEMS_CEILING": "3", "ITEMS_TIMEOUT": "10", "ITEMS_TRIES": "5"}
        configured = settings(home, url, ITEMS_LIMITS=LIMITS, **concurrency)
        clock = SetClock()
        with open_installation(configured, configure([ItemsSource()], configured), clock) as installation:
            source = installation.source("items")
            row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), clock)
            run = ImportRun(
                installation=installation,
                source=source,
                connect=lambda: open_api(source, configured, clock, Connections(clock, jump)),
            )
            summary = execute_import(run, row.id)
        assert counts(summary) == ("completed", ITEMS, ITEMS, 0, 0)
        record_property("kept", str(assert_invariants(configured, url, items=ITEMS, most_repeated=2 + 1 + 3 + 1 + 3)))
