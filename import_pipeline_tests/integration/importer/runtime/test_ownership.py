"""A worker that was frozen sends nothing before its next heartbeat, and then only for claims that it still holds."""

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from import_pipeline.importer.runtime.ownership import ClaimLost, Ownership
from import_pipeline.rules.status import ImportStatus
from import_pipeline.testing import FakeClock
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline_tests.integration.importer.execution.test_interruptions import (
    change,
    freeze,
    wait_for,
    wait_until_asked,
)
from import_pipeline_tests.support import http
from import_pipeline_tests.support.imports import demo_api, ending_of, import_process, latest, log, settings
from import_pipeline_tests.support.lifecycle import TEN


async def waiting(task):
    """Return True if the task still waits after all others had a turn."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


class PausedClock(FakeClock):
    """The clocks of a machine that was paused: the monotonic one stopped meanwhile."""

    paused_for = timedelta(0)

    def now(self):
        return super().now() + self.paused_for


def pause(clock):
    clock.paused_for = timedelta(seconds=61)


@pytest.mark.anyio
@pytest.mark.parametrize("freeze_worker", [lambda clock: clock.advance(61), pause], ids=["frozen", "paused machine"])
async def test_a_worker_in_doubt_waits_for_its_next_heartbeat(freeze_worker):
    clock, beats = PausedClock(TEN), []
    ownership = Ownership(clock, lease_seconds=60)
    ownership.beat_now = lambda: beats.append(clock.now())
    await ownership.confirm([1])
    assert beats == []
    freeze_worker(clock)
    task = asyncio.create_task(ownership.confirm([1]))
    assert await waiting(task)
    assert len(beats) == 1, "it asks for one"
    ownership.renewed(ownership.moment(), held=[1])
    await task


@pytest.mark.anyio
async def test_what_was_lost_meanwhile_is_not_sent_for_and_what_is_claimed_anew_is():
    clock = FakeClock(TEN)
    ownership = Ownership(clock, lease_seconds=60)
    clock.advance(61)
    ownership.renewed(ownership.moment(), held=[1, 2])
    ownership.took([4])
    for held in ([1, 2], [4], []):
        await ownership.confirm(held)
    with pytest.raises(ClaimLost):
        await ownership.confirm([1, 3])


@pytest.mark.anyio
async def test_a_worker_that_was_frozen_within_its_heartbeat_is_in_doubt_after_it():
    clock = FakeClock(TEN)
    ownership = Ownership(clock, lease_seconds=60)
    began = ownership.moment()
    clock.advance(61)
    ownership.renewed(began)
    task = asyncio.create_task(ownership.confirm())
    assert await waiting(task)
    ownership.renewed(ownership.moment(), held=[])
    await task


@pytest.mark.anyio
async def test_a_worker_that_was_never_frozen_is_never_in_doubt():
    clock = FakeClock(TEN)
    ownership = Ownership(clock, lease_seconds=3)
    for beat in range(20):
        clock.advance(1)
        ownership.renewed(ownership.moment())
        await ownership.confirm([beat])


@pytest.mark.nightly
def test_a_worker_that_was_frozen_asks_for_nothing_that_others_have_stored_meanwhile(home, database_url):
    """Other workers took its claims, not its import: it requests only items that it can claim anew."""
    more = {"ITEMS_LEASE": "1", "ITEMS_CONCURRENCY": "4", "ITEMS_LIMITS": "20/1 second"}
    with demo_api(items=120, delay_after_ms=40) as url:
        configured = settings(home, url, DATABASE_URL=database_url, **more)
        with import_process(configured) as process:
            wait_until_asked(url, 20)
            freeze(process, home)
            held = statuses.c.status == "processing"
            change(configured, update(statuses).where(held).values(status="completed", claimed_by=None))
            wait_for(lambda: datetime.now(UTC) - latest(configured).heartbeat_at > timedelta(seconds=1.5))
            asked = len(log(url))
            os.kill(process.pid, signal.SIGCONT)
            assert ending_of(process) is None
        seen = http.get(f"{url}/_stats").json()
        assert len(log(url)) > asked
    assert seen["repeated_details"] == {}
    assert latest(configured).status is ImportStatus.COMPLETED
    assert seen["details"] <= 120 - 10, "what it held when it was frozen, but for what was in flight, was not asked for"
