"""The rate-limit store disappears, comes back empty or is slow while an import runs: it waits, and meets no 429."""

import time

import pytest

from import_pipeline import run_import
from import_pipeline_tests.acceptance.command_line import some_details, stats
from import_pipeline_tests.faults.invariants import assert_invariants
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.imports import demo_api, ending_of, import_process, latest, settings
from import_pipeline_tests.support.slow_proxy import SlowProxy

ITEMS, IN_FLIGHT = 60, 4
LIMITS = "25/1 second"
SETTINGS = {
    "ITEMS_LIMITS": LIMITS,
    "ITEMS_CONCURRENCY": str(IN_FLIGHT),
    "ITEMS_CEILING": str(IN_FLIGHT),
    "ITEMS_TIMEOUT": "10",
}


@pytest.fixture
def own_redis():
    """A server that the test may kill."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def api():
    """A strict demo API."""
    with demo_api(items=ITEMS, limits=LIMITS, delay_after_ms=10) as url:
        yield url


@pytest.mark.parametrize("away_seconds", [1, pytest.param(30, marks=pytest.mark.nightly)])
def test_an_import_waits_for_a_redis_that_comes_back_empty(home, api, own_redis, away_seconds, record_property):
    configured = settings(home, api, REDIS_URL=own_redis.url(), **SETTINGS)
    with import_process(configured) as process:
        some_details(api, 25)
        own_redis.kill()
        time.sleep(0.6)
        before = stats(api)["requests"]
        time.sleep(away_seconds)
        assert stats(api)["requests"] == before, "nothing is sent without a permit"
        own_redis.start()
        assert ending_of(process) is None
    record_property("kept", str(assert_invariants(configured, api, items=ITEMS)))


@pytest.mark.nightly
def test_an_emptied_redis_receives_the_requests_that_still_count(home, api, own_redis, record_property):
    configured = settings(home, api, REDIS_URL=own_redis.url(), **SETTINGS)
    with import_process(configured) as process:
        for asked in (10, 25, 45):
            some_details(api, asked)
            own_redis.flush()
        assert ending_of(process) is None
    record_property("kept", str(assert_invariants(configured, api, items=ITEMS)))


@pytest.mark.nightly
def test_a_slow_redis_costs_time_only(home, api, own_redis, record_property):
    with SlowProxy(own_redis.port, delay=0.2) as port:
        configured = settings(home, api, REDIS_URL=f"redis://127.0.0.1:{port}/0", **SETTINGS)
        with import_process(configured) as process:
            assert ending_of(process) is None
    row = latest(configured)
    record_property("seconds", (row.ended_at - row.started_at).total_seconds())
    record_property("kept", str(assert_invariants(configured, api, items=ITEMS)))


@pytest.mark.nightly
def test_everything_is_killed_and_started_again_at_once(home, api, record_property):
    """Only the rate-limit store's file is left, and it contains the requests that were sent."""
    configured = settings(home, api, **SETTINGS)
    with import_process(configured) as process:
        some_details(api, 35)
        process.kill()
        process.join(20)
    assert_the_next_run_completes(configured, api, record_property, most_hits=0)


@pytest.mark.nightly
def test_everything_is_killed_with_the_memory_of_a_redis_that_keeps_none(home, api, own_redis, record_property):
    """No process knows the requests that were sent; those in flight may be refused once."""
    configured = settings(home, api, REDIS_URL=own_redis.url(), **SETTINGS)
    with import_process(configured) as process:
        some_details(api, 35)
        process.kill()
        process.join(20)
        own_redis.kill()
        own_redis.start()
    assert_the_next_run_completes(configured, api, record_property, most_hits=IN_FLIGHT)


def assert_the_next_run_completes(configured, api, record_property, most_hits):
    summary = run_import("items", settings=configured)
    assert (summary.status, summary.items_failed_count) == ("completed", 0)
    found = assert_invariants(configured, api, items=ITEMS, most_repeated=IN_FLIGHT, most_hits=most_hits)
    record_property("kept", str(found))
