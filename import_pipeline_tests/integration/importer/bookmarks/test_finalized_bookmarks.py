"""`finalize` of an incremental import without a worker: the bookmark passes nothing that was not imported."""

import contextlib
from datetime import timedelta

import pytest
from sqlalchemy import update

from import_pipeline.importer.control.finalize import finalize
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import ItemStatus
from import_pipeline.testing import FakeClock
from import_pipeline.tracking.lists import bookmarks
from import_pipeline.tracking.lists.owed_items import count_owed
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline_tests.support.changes_api import BEGAN, ChangesApi, Station, source_for
from import_pipeline_tests.support.dying_process import ProcessDied
from import_pipeline_tests.support.imports import latest, rows, settings, tracking


@pytest.fixture
def station(home):
    """Ten items that were imported; three of them have changed since. A failed try is repeated after a day."""
    api = ChangesApi(clock=FakeClock(BEGAN), form="number", is_keyset=True)
    api.add(*range(10))
    configured = settings(home, "https://api.test", ITEMS_TRIES="2", ITEMS_BACKOFF="86400", ITEMS_LEASE="60")
    found = Station(configured, api, source_for(api, overlap=False))
    found.run()
    for each in ("3", "4", "5"):
        api.change(each)
    return found


def dies(station, at_request):
    """Run an import whose process dies at that request."""

    def die(number):
        if number == at_request:
            raise ProcessDied

    station.api.hook = die
    with contextlib.suppress(ProcessDied):
        station.run()
    station.api.hook = lambda number: None
    assert latest(station.settings).status == "running"
    station.api.clock.advance(timedelta(minutes=6).total_seconds())


def fails_and_waits(station):
    """Let the items that the dead process has not done fail: their next try is due in a day."""
    now = station.api.clock.now() - timedelta(minutes=6)
    later = {"last_failed_at": now, "next_attempt_at": now + timedelta(days=1)}
    sources = configure([station.source], station.settings)
    with open_installation(station.settings, sources, clock=station.api.clock) as installation:
        failed = update(statuses).where(statuses.c.status != ItemStatus.COMPLETED)
        failed = failed.values(status=ItemStatus.FAILED, failure_count=1, failure_reason="500", **later)
        installation.transact(lambda connection: connection.execute(failed))


def finalized(station):
    sources = configure([station.source], station.settings)
    with open_installation(station.settings, sources, clock=station.api.clock) as installation:
        return finalize(installation, latest(station.settings).id)


def bookmark(station):
    with tracking(station.settings) as connection:
        return bookmarks.of_source(connection, "items").value, count_owed(connection, "items")


@pytest.mark.parametrize("at_request", [1, 2, 3, 4])
def test_an_import_with_work_left_keeps_the_bookmark(station, at_request):
    """It dies before each page of its list, and before the first and the second detail."""
    before = bookmark(station)
    dies(station, at_request)
    assert not finalized(station).ended
    assert bookmark(station) == before
    station.run()
    assert {key: int(row["price"]) for key, row in rows(station.settings).items()} == station.api.live


def test_items_that_are_closed_as_failed_are_owed(station):
    dies(station, at_request=5)
    fails_and_waits(station)
    assert finalized(station).ended
    failed = latest(station.settings).items_failed_count
    assert (failed > 0, bookmark(station)) == (True, ("13", failed))
    station.run()
    assert (len(station.api.details), bookmark(station)) == (failed, ("13", 0))
    assert {key: int(row["price"]) for key, row in rows(station.settings).items()} == station.api.live
