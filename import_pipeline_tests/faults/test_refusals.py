"""Unexpected refusals: all kinds of 429, many 503s, falling limits, another program with the same key.

The import waits for each: no item fails because of it, and nothing is sent during the wait except requests in flight.
"""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from sqlalchemy import select

from import_pipeline import run_import
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking.tables import import_item_statuses
from import_pipeline_tests.faults.invariants import InvariantReport, check_invariants
from import_pipeline_tests.support.imports import counts, demo_api, import_through, served, settings, tracking
from source_api.app import create_app
from source_api.options import Options

URL = "https://api.test"
IN_FLIGHT = 3


def in_a_second(shape):
    return str(shape(datetime.now(UTC) + timedelta(seconds=1)))


def http_date(moment):
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1), usegmt=True)


#: Ways to refuse: status, headers, and the least number of seconds to wait.
REFUSALS = {
    "seconds": (429, lambda: {"Retry-After": "1"}, 1.0),
    "a date": (429, lambda: {"Retry-After": in_a_second(http_date)}, 1.0),
    "nothing": (429, dict, 1.0),
    "zero": (429, lambda: {"Retry-After": "0"}, 0.1),
    "the past": (429, lambda: {"Retry-After": "Tue, 01 Jan 2019 12:00:00 GMT"}, 0.1),
    "nonsense": (429, lambda: {"Retry-After": "soon"}, 0.1),
    "a reset": (429, lambda: {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, 1.0),
    "RateLimit": (429, lambda: {"RateLimit": '"default";r=0;t=1'}, 1.0),
    "503 with a wait": (503, lambda: {"Retry-After": "1"}, 1.0),
    "403 by the source": (403, lambda: {"X-Reason": "quota", "Retry-After": "1"}, 1.0),
    "200 by the source": (200, lambda: {"X-Reason": "quota"}, 0.1),
}
BY_DAY = ["seconds", "nothing"]


class Quota(ItemsSource):
    """The example, which also recognizes the refusals of this API."""

    def is_rate_limited(self, response):
        return response.headers.get("X-Reason") == "quota"


class Refusing:
    """Refuses item n once, in the n-th way."""

    def __init__(self, ways):
        self.ways = list(ways)
        self.asked = []  #: (seconds, path) of every request
        self.waits = []  #: (from, until) of every requested wait

    def __call__(self, request):
        path, now = request.url.path, time.monotonic()
        self.asked.append((now, path))
        if path == "/api/items":
            data = [{"id": number} for number in range(1, len(self.ways) + 1)]
            return {"current_page": 1, "last_page": 1, "total": len(self.ways), "data": data}
        number = int(path.rpartition("/")[2])
        if sum(each == path for _, each in self.asked) == 1:
            status, headers, seconds = REFUSALS[self.ways[number - 1]]
            self.waits.append((now, now + seconds))
            return httpx.Response(status, headers=headers(), json={"error": "slow down"})
        return {"id": number, "name": "n", "price": "1.00"}

    def sent_in(self, wait):
        """Return the number of requests that were sent during that wait."""
        return sum(wait[0] < moment < wait[1] for moment, _ in self.asked)


def test_a_refusal_is_waited_out_and_uses_up_no_try(home):
    assert_waited_out(home, BY_DAY)


@pytest.mark.nightly
def test_refusals_of_every_kind_are_waited_out_and_use_up_no_try(home):
    assert_waited_out(home, REFUSALS)


def assert_waited_out(home, ways):
    refusing = Refusing(ways)
    concurrency = {"ITEMS_CONCURRENCY": str(IN_FLIGHT), "ITEMS_CEILING": str(IN_FLIGHT), "ITEMS_TRIES": "1"}
    configured = settings(home, URL, **concurrency)
    summary = import_through(CannedTransport(refusing), Quota(), configured)
    assert counts(summary) == ("completed", len(ways), len(ways), 0, 0)
    assert len(refusing.waits) == len(ways)
    assert max(refusing.sent_in(wait) for wait in refusing.waits) < IN_FLIGHT
    with tracking(configured) as connection:
        assert set(connection.scalars(select(import_item_statuses.c.failure_count))) == {0}


@pytest.mark.nightly
def test_a_storm_of_503s_with_a_wait_is_waited_out(home):
    """Every request is refused for three seconds; nothing fails, and three probes are sent."""
    begun, asked = [], []

    def answer(request):
        asked.append(time.monotonic())
        begun.extend([] if begun else [time.monotonic()])
        if time.monotonic() - begun[0] < 3:
            return httpx.Response(503, headers={"Retry-After": "1"})
        if request.url.path == "/api/items":
            data = [{"id": number} for number in range(1, 21)]
            return {"current_page": 1, "last_page": 1, "total": 20, "data": data}
        return {"id": 1, "name": "n", "price": "1.00"}

    summary = import_through(CannedTransport(answer), ItemsSource(), settings(home, URL, ITEMS_TRIES="1"))
    assert counts(summary) == ("completed", 20, 20, 0, 0)
    assert len(asked) == 21 + 3


class Falling:
    """A server whose limit is replaced by another one after that many requests."""

    def __init__(self, before, after, requests, **options):
        self.apps = [create_app(Options(items=60, limits=limits, **options)) for limits in (before, after)]
        self.requests, self.asked = requests, 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"].startswith("/_"):
            await self.apps[1](scope, receive, send)
            return
        self.asked += 1
        await self.apps[self.asked > self.requests](scope, receive, send)

    def hits(self):
        return sum(app.state.api.stats.summary()["rate_limited"] for app in self.apps)


@pytest.mark.nightly
@pytest.mark.parametrize("has_headers", [True, False], ids=["with headers", "without headers"])
def test_a_limit_that_is_lowered_in_the_middle_refuses_only_what_was_in_flight(home, has_headers, record_property):
    falling = Falling("20/1 second", "10/1 second", 25, rate_headers=has_headers, delay_after_ms=10)
    with served(falling) as url:
        concurrency = {"ITEMS_CONCURRENCY": str(IN_FLIGHT), "ITEMS_CEILING": str(IN_FLIGHT), "ITEMS_TIMEOUT": "10"}
        summary = run_import("items", settings=settings(home, url, ITEMS_LIMITS="20/1 second", **concurrency))
        record_property("hits", falling.hits())
        record_property("seconds", summary.duration_seconds)
        assert counts(summary) == ("completed", 60, 60, 0, 0)
        assert falling.hits() <= (0 if has_headers else 3 * IN_FLIGHT)


@contextmanager
def another_program(url, per_second):
    """Another program with the same key, which sends requests at that rate."""
    stop, got = threading.Event(), []

    def ask():
        with httpx.Client(base_url=url) as client:
            while not stop.wait(1 / per_second):
                got.append(client.get("/api/items/1").status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield got
    finally:
        stop.set()
        thread.join(20)


@pytest.mark.nightly
@pytest.mark.parametrize("has_headers", [True, False], ids=["with headers", "without headers"])
def test_another_program_with_our_key_uses_our_permits(home, has_headers, record_property):
    concurrency = {"ITEMS_CONCURRENCY": str(IN_FLIGHT), "ITEMS_CEILING": str(IN_FLIGHT), "ITEMS_TIMEOUT": "10"}
    with demo_api(items=100, limits="20/1 second", rate_headers=has_headers, delay_after_ms=10) as url:
        with another_program(url, 8) as got:
            configured = settings(home, url, ITEMS_LIMITS="20/1 second", **concurrency)
            summary = run_import("items", settings=configured)
        found: InvariantReport = check_invariants(configured, url, items=100)
    record_property("ours", summary.rate_limit_hits_count)
    record_property("theirs", got.count(429))
    record_property("seconds", summary.duration_seconds)
    assert counts(summary) == ("completed", 100, 100, 0, 0)
    assert (found.lost, found.duplicates) == (0, 0)
    assert summary.rate_limit_hits_count <= 100 * 0.1
