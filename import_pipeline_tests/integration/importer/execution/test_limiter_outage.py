"""The rate-limit store goes away during an import: this is reported within seconds, and nothing is lost."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from redis import Redis

from import_pipeline.cli.progress_display import remark
from import_pipeline.errors import LimiterUnavailable
from import_pipeline.importer.control.scheduling import Launch, tick
from import_pipeline.importer.execution.limiter_outage import EVICTS
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.execution.usage_share import STATE_LOST
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.rules.status import ImportStatus, Trigger
from import_pipeline.tracking import events
from import_pipeline_tests.acceptance.command_line import some_details
from import_pipeline_tests.faults.invariants import assert_invariants
from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.imports import demo_api, latest, settings, tracking

ITEMS, IN_FLIGHT, LIMITS = 60, 4, "25/1 second"
OPTIONS = {"ITEMS_LIMITS": LIMITS, "ITEMS_CONCURRENCY": str(IN_FLIGHT), "ITEMS_CEILING": str(IN_FLIGHT)}
SILENT = "the rate-limit store does not answer"


@pytest.fixture
def api():
    """A strict demo API."""
    with demo_api(items=ITEMS, limits=LIMITS, delay_after_ms=10) as url:
        yield url


@pytest.fixture
def redis():
    """A server that the test may kill."""
    with RedisServer() as server:
        yield server


class Importing:
    """An import in a thread of this process, and how it ended."""

    def __init__(self, installation, patience_seconds, trigger=Trigger.CLI):
        self.installation = installation
        self.source = installation.source("items")
        self.row = find_or_create(
            installation.database, self.source, new_import(self.source, trigger), installation.clock
        )
        patience = timedelta(seconds=patience_seconds)
        connect = partial(open_api, self.source, installation.settings, installation.clock, store_patience=patience)
        self._run = ImportRun(installation=installation, source=self.source, connect=connect)
        self.ended, self.error = None, None
        self._thread = threading.Thread(target=self._execute)

    def _execute(self):
        try:
            self.ended = execute_import(self._run, self.row.id)
        except LimiterUnavailable as error:
            self.error = str(error)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join(60)
        assert not self._thread.is_alive()

    def shown(self):
        """Return the text that a progress bar shows beside its figures."""
        usage_reader = UsageReader(settings=self.installation.settings, clock=self.installation.clock)
        view, forecast = import_progress(self.installation, self.row.id, usage_reader)
        usage_reader.close()
        return remark(view, forecast, self.installation), forecast

    def happened(self):
        with tracking(self.installation.settings) as connection:
            return [(action, message) for _, action, message in events.latest(connection, self.row.id)]


@contextmanager
def opened(home, api, url, **environment):
    with open_installation(settings(home, api, REDIS_URL=url, **OPTIONS, **environment)) as installation:
        yield installation


def until(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_looks_reads_that_the_store_is_away_and_when_it_is_back(home, api, redis):
    with opened(home, api, redis.url()) as installation:
        with Importing(installation, patience_seconds=60) as one:
            some_details(api, 25)
            redis.kill()
            began = time.monotonic()
            until(lambda: one.happened()[-1][0] == events.WAITS)
            assert time.monotonic() - began < 6
            said, forecast = one.shown()
            assert said.startswith("the rate-limit store has not answered since ")
            assert "UTC; no requests until it is back" in said
            assert "left" not in said
            assert (forecast.eta_seconds, forecast.ends_at, forecast.waits_until) == (None, None, None)
            redis.start()
        assert one.ended.status == "completed"
        actions = [action for action, _ in one.happened()]
        assert actions == ["import_started", "import_waits", "import_goes_on", STATE_LOST, "import_completed"]
        waits, goes_on = (message for _, message in one.happened()[1:3])
        assert waits.startswith("The rate-limit store has not answered since ")
        assert "Connection refused. Check REDIS_URL and the server." in waits
        assert goes_on.startswith("The rate-limit store answers again after ")
    assert_invariants(installation.settings, api, items=ITEMS)


def test_an_import_continues_by_itself_after_a_long_outage_of_the_store(home, api, redis):
    with opened(home, api, redis.url()) as installation:
        with Importing(installation, patience_seconds=1) as one:
            some_details(api, 25)
            redis.kill()
        assert one.error.startswith(f"import 1 waits: {SILENT}. The Redis rate-limit store: ")
        assert one.error.endswith("Once it answers, the sensor or the next run resumes the import")
        row = latest(installation.settings)
        assert (row.status, row.pid, row.resumes, row.failure_reason) == (ImportStatus.RUNNING, None, 0, None)
        assert one.happened()[-1][0] == events.PAUSED
        assert one.shown()[1].waits_for == SILENT
        waits = tick(installation, one.source, schedule_is_on=False)
        assert (waits.launches, waits.sentences) == ([], [f"Import 1 waits: {SILENT}."])
        redis.start()
        reason = "Import 1 is resumed: its worker released it."
        assert tick(installation, one.source, schedule_is_on=False).launches == [Launch(import_id=1, reason=reason)]
        with Importing(installation, patience_seconds=1) as again:
            pass
        assert (again.row.id, again.ended.status, again.ended.items_imported_count) == (1, "completed", ITEMS)
        assert latest(installation.settings).resumes == 0
    assert_invariants(installation.settings, api, items=ITEMS)


@pytest.mark.parametrize(
    ("trigger", "status"), [(Trigger.CLI, ImportStatus.FAILED), (Trigger.REQUEST, ImportStatus.RUNNING)]
)
def test_only_what_a_person_begins_with_a_store_that_never_answered_fails(home, api, trigger, status):
    """Its address may be wrong, so the import of a person fails after MAX_OUTAGE; all others wait for the store."""
    with opened(home, api, f"redis://127.0.0.1:{free_port()}/0", ITEMS_MAX_OUTAGE="2") as installation:
        with Importing(installation, patience_seconds=1, trigger=trigger):
            pass
        row = latest(installation.settings)
        assert (row.status, row.requests_count) == (status, 0)
        if status is ImportStatus.FAILED:
            assert "Check REDIS_URL and the server" in row.failure_reason


def actions(one):
    return [action for action, _ in one.happened()]


def begins_with(home, api, url, mend):
    """Start an import while the store refuses it, then mend the store; return what happened."""
    with opened(home, api, url) as installation:
        with Importing(installation, patience_seconds=60) as one:
            until(lambda: events.WAITS in actions(one))
            mend()
        assert one.ended.status == "completed"
        assert_invariants(installation.settings, api, items=ITEMS)
        return one.happened()


def test_a_store_that_is_a_replica_at_the_start_is_waited_for(home, api, redis):
    with Redis.from_url(redis.url()) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        happened = begins_with(home, api, redis.url(), lambda: client.execute_command("REPLICAOF", "NO", "ONE"))
    assert [action for action, _ in happened][1:3] == [events.WAITS, "import_goes_on"]
    assert "is a replica and accepts no writes" in happened[1][1]


def test_a_store_that_is_not_there_at_the_start_is_waited_for(home, api, redis):
    redis.kill()
    happened = begins_with(home, api, redis.url(), redis.start)
    assert [action for action, _ in happened][1:3] == [events.WAITS, "import_goes_on"]


def test_what_only_a_person_can_change_is_said_at_once(home, api, redis):
    with Redis.from_url(redis.url()) as client:
        client.config_set("requirepass", "a-password")
    with opened(home, api, redis.url()) as installation:
        with Importing(installation, patience_seconds=60) as one:
            pass
        assert (one.ended.status, one.ended.requests_count) == ("failed", 0)
        assert events.WAITS not in actions(one), "nothing is waited for"
        reason = latest(installation.settings).failure_reason
        assert reason.endswith("the Redis rate-limit store requires a password: write it into REDIS_URL")


def test_a_store_that_may_evict_permits_is_noted_with_the_import(home, api, redis):
    with Redis.from_url(redis.url()) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    with opened(home, api, redis.url()) as installation:
        with Importing(installation, patience_seconds=60) as one:
            pass
        messages = dict(one.happened())
        assert "maxmemory-policy allkeys-lru" in messages[EVICTS]
        assert one.ended.status == "completed"


def test_a_store_that_lost_its_state_is_noted_with_the_import(home, api, redis):
    with opened(home, api, redis.url()) as installation:
        with Importing(installation, patience_seconds=60) as one:
            some_details(api, 25)
            redis.flush()
        assert one.ended.status == "completed"
        assert actions(one).count(STATE_LOST) == 1
    assert_invariants(installation.settings, api, items=ITEMS)
