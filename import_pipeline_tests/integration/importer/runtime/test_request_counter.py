"""Requests are counted once each by any writer: not lost by a rollback, and never after their items."""

import threading
from functools import partial

import httpx
import pytest

from import_pipeline.importer.execution.heartbeat import Heartbeat
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import RequestTally, open_api
from import_pipeline.importer.runtime.request_counter import PendingCounts
from import_pipeline.rules.status import Trigger
from import_pipeline.sources.items import ImportedItem
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking import claims
from import_pipeline.tracking.claims import Done
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline_tests.support.imports import settings
from import_pipeline_tests.support.limiter_stories import SwitchableStore

ITEMS = 200


class Rolled(Exception):
    """Ends a transaction by a rollback."""


@pytest.fixture
def hand(simulation):
    """The run that executes an import."""
    started = simulation.begin(simulation.slot(simulation.now))
    started.discover(*map(str, range(ITEMS)))
    return started


def take_and_roll_back(database, pending_counts):
    """Take the pending counts in a transaction that is rolled back."""
    with database.write() as connection:
        assert pending_counts.drain(connection) == CounterDelta(requests=2, hits=1)
        raise Rolled


def test_counts_are_taken_once_and_a_rollback_gives_them_back(simulation):
    tally = RequestTally()
    pending_counts = PendingCounts(tally)
    tally.observe(200)
    tally.observe(429)
    with pytest.raises(Rolled):
        take_and_roll_back(simulation.database, pending_counts)
    assert simulation.call(pending_counts.drain) == CounterDelta(requests=2, hits=1)
    tally.observe(None)
    assert simulation.call(pending_counts.drain) == CounterDelta(requests=1)
    assert simulation.call(pending_counts.drain) == CounterDelta()


def test_heartbeats_count_nothing_twice_and_let_no_item_come_before_its_request(hand):
    simulation, tally = hand.simulation, RequestTally()
    pending_counts = PendingCounts(tally)
    seen, over = [], threading.Event()
    heartbeat = Heartbeat(
        simulation.database,
        hand.lease,
        simulation.clock,
        pulse=lambda connection: Pulse(sent=pending_counts.drain(connection)),
        on_end=lambda error: None,
    )

    def beat():
        while not over.is_set():
            heartbeat.beat()

    def look():
        while not over.is_set():
            row = simulation.get(hand.row.id)
            seen.append(row.requests_count - row.items_imported_count)

    def store(connection, done):
        sent = pending_counts.drain(connection)
        claims.complete(connection, hand.row, hand.lease, ImportedItem, done, simulation.now, sent=sent)

    others = [threading.Thread(target=target) for target in (beat, look)]
    for each in others:
        each.start()
    try:
        while taken := hand.claim(2):
            for each in taken:
                tally.observe(200)
                done = [Done(claim=each, importable=ImportedItem(external_id=each.external_id, name="a"))]
                simulation.call(store, done)
    finally:
        over.set()
        for each in others:
            each.join()
    row = simulation.get(hand.row.id)
    assert (row.items_imported_count, row.requests_count) == (ITEMS, ITEMS)
    assert len(seen) > 1
    assert min(seen) >= 0


def test_what_was_sent_last_is_counted_also_where_the_limits_store_is_away_at_the_end(home):
    store = SwitchableStore()

    def answer(request):
        if request.url.path.endswith("/1"):
            store.is_on = False
            return httpx.Response(404)
        return {"data": [{"id": 1}], "total": 1, "current_page": 1, "last_page": 1}

    with open_installation(settings(home, "http://api.test")) as installation:
        source = installation.source("items")
        row = find_or_create(installation.database, source, new_import(source, Trigger.CLI), installation.clock)
        api = partial(
            open_api, source, installation.settings, installation.clock, CannedTransport(answer), permits=store
        )
        summary = execute_import(ImportRun(installation=installation, source=source, connect=api), row.id)
    assert (summary.status, summary.requests_count) == ("completed", 2), summary.failure_reason
