"""The meter watches the limits' counters for as long as the import works, whatever does not answer."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from import_pipeline.importer.execution.usage_share import UsageMeter
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.stop import StopSignal
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, Outcome, PermitRequest, Settlement
from import_pipeline.testing import CannedTransport, MemoryPermits
from import_pipeline.tracking import events
from import_pipeline_tests.support.lifecycle import SimulatedInstallation, items_source
from import_pipeline_tests.support.limiter_stories import SwitchableStore

pytestmark = pytest.mark.anyio


class Seconds:
    """A clock whose only sleeper wakes up when the test lets a second pass."""

    def __init__(self, simulation):
        self._simulation = simulation
        self.now, self.monotonic = simulation.clock.now, simulation.clock.monotonic
        self._over, self._asked = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def sleep(self, seconds):
        self._asked.release()
        await self._over.acquire()

    async def begin(self):
        """Return once a task sleeps."""
        await self._asked.acquire()

    async def pass_one(self):
        """Return when the sleeper has woken up, and sleeps again."""
        self._simulation.advance(seconds=1)
        self._over.release()
        await asyncio.wait_for(self._asked.acquire(), 10)


def fail(connection):
    """Fail, as a listener that SQLAlchemy calls at the beginning of a transaction."""
    raise OperationalError("BEGIN", None, connection.dialect.loaded_dbapi.OperationalError("as ordered"))


@asynccontextmanager
async def watched(simulation, store):
    """An import's meter at its watch; yields its clock and the import's number."""
    clock, hand = Seconds(simulation), simulation.begin(simulation.slot(simulation.now))
    configured = simulation.installation.settings
    async with open_api(simulation.source, configured, simulation.clock, CannedTransport({}), permits=store) as api:
        work = ImportContext(
            source=simulation.source,
            database=simulation.database,
            row=hand.row,
            lease=hand.lease,
            api=api,
            clock=clock,
            chance=lambda: 0.5,
            stop=StopSignal(lambda seconds: None),
        )
        meter = UsageMeter(api, hand.row)
        await meter.start(work)
        watcher = asyncio.create_task(meter.watch(work))
        await clock.begin()
        yield clock, hand.row.id
        watcher.cancel()
        work.close()


@pytest.mark.parametrize("shared_database", ["sqlite"], indirect=True)
async def test_a_wait_in_progress_is_no_active_time(simulation: SimulatedInstallation):
    """From 2 s on all wait for a permit that is free at 11 s; the worker has reported no sleep yet."""
    store = MemoryPermits(simulation.clock)
    usage_reader = UsageReader(settings=simulation.installation.settings, clock=simulation.clock, _permits=store)

    def ask(permit, *settled):
        wanted = (PermitRequest(permit=permit, lifetime=30 * SECOND),)
        store.exchange(
            ExchangeRequest(api="items", process="w", tiers=((1, 10 * SECOND),), settled=settled, wanted=wanted)
        )

    def shown():
        figures = import_progress(simulation.installation, number, usage_reader)[0].figures
        return figures.duration_seconds, figures.total_sleep_seconds, figures.active_seconds

    async with watched(simulation, store) as (_, number):
        ask("a")
        simulation.advance(seconds=1)
        assert shown() == (1, 0, 1)
        simulation.advance(seconds=1)
        ask("b", Settlement(permit="a", outcome=Outcome.ANSWERED, age=SECOND))
        for slept in range(10):
            assert shown() == (2 + slept, slept, 2)
            simulation.advance(seconds=1)
        assert shown() == (12, 9, 3)  # the permit is free, and no request has taken it


@pytest.mark.parametrize("shared_database", ["sqlite"], indirect=True)
async def test_an_outage_that_the_database_did_not_take_is_reported_as_soon_as_it_does(
    simulation: SimulatedInstallation,
):
    simulation.source = items_source(max_outage=0.1)  # the next reading reports what the writer gives up
    store, begins = SwitchableStore(simulation.clock), (simulation.database.engine, "begin", fail)
    async with watched(simulation, store) as (clock, number):
        store.is_on = False
        event.listen(*begins)
        for _ in range(5):
            await clock.pass_one()
        event.remove(*begins)
        assert simulation.actions(number) == ["import_started"]
        await clock.pass_one()
        assert simulation.actions(number)[1:] == [events.WAITS]
        store.is_on = True
        event.listen(*begins)
        for _ in range(5):
            await clock.pass_one()
        event.remove(*begins)
        await clock.pass_one()
    with simulation.database.read() as connection:
        recorded = events.latest(connection, number)
    assert [(action, message) for _, action, message in recorded[2:]] == [
        ("import_goes_on", "The rate-limit store answers again after 6 s.")
    ]
