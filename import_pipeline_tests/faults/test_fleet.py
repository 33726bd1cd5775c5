"""Four workers on one import; each may be killed, frozen or cut off from its servers at any moment.

One worker leads at first; another takes the lead if that one dies. The test acts as the launcher: it restarts dead
shards, and resumes the import only if no worker is alive.
"""

import os
import random
import signal
import time
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest

from import_pipeline.rules.status import ImportStatus
from import_pipeline_tests.integration.importer.execution.test_interruptions import wait_for
from import_pipeline_tests.support import http
from import_pipeline_tests.support.imports import demo_api, import_process, latest, rows, settings, shard_processes
from import_pipeline_tests.support.network_link import NetworkLink

ITEMS, RATE, LEASE, WORKERS, CONCURRENCY = 200, 25, 3, 4, 5
#: Names of methods of Fleet.
TROUBLES = ("kill", "freeze", "partition_database", "partition_limits", "partition_host")
#: An undisturbed import takes about 9 s; each fault may delay it by one lease.
LONGEST = 240.0


class Fleet:
    """The workers; each reaches the database and the rate-limit store over its own network links."""

    def __init__(self, home, url, database_url, redis_url, stack):
        self._stack, self._database, self._limits = stack, database_url, redis_url
        self._home, self._url = home, url
        self.settings = self._settings(database_url, redis_url)
        self._database_links = [self._link(database_url) for _ in range(WORKERS)]
        self._limits_links = [self._link(redis_url) for _ in range(WORKERS)]
        self._workers = [None] * WORKERS
        self._frozen, self._partitioned = set(), set()

    def start(self, number):
        """Start the worker of that number: 0 starts or resumes the import, the others are its shards."""
        database = at_port(self._database, self._database_links[number].port)
        limits = at_port(self._limits, self._limits_links[number].port)
        configured = self._settings(database, limits)
        opened = import_process(configured) if number == 0 else shard_processes(configured, number + 1)
        entered = self._stack.enter_context(opened)
        self._workers[number] = entered if number == 0 else entered[0]

    def living(self):
        """Return the numbers of the workers that are alive."""
        return [number for number, worker in enumerate(self._workers) if worker is not None and worker.is_alive()]

    def supervise(self):
        """Act as the launcher: restart dead shards, and the lead only if no worker is alive."""
        for number in set(range(1, WORKERS)) - set(self.living()):
            self.start(number)
        if not self.living():
            self.start(0)

    def kill(self, number):
        self._workers[number].kill()
        self._workers[number].join(20)

    def freeze(self, number):
        os.kill(self._workers[number].pid, signal.SIGSTOP)
        self._frozen.add(self._workers[number].pid)

    def partition_database(self, number):
        self._partition(self._database_links[number])

    def partition_limits(self, number):
        self._partition(self._limits_links[number])

    def partition_host(self, number):
        self.partition_database(number)
        self.partition_limits(number)

    def heal(self):
        for pid in self._frozen:
            os.kill(pid, signal.SIGCONT)
        for link in self._partitioned:
            link.heal()
        self._frozen, self._partitioned = set(), set()

    def _partition(self, link):
        link.partition()
        self._partitioned.add(link)

    def _settings(self, database_url, redis_url):
        more = {
            "ITEMS_LIMITS": f"{RATE}/1 second",
            "ITEMS_LEASE": str(LEASE),
            "ITEMS_SHARDS": str(WORKERS),
            "ITEMS_CONCURRENCY": str(CONCURRENCY),
            "ITEMS_CEILING": str(CONCURRENCY),
            "ITEMS_PER_PAGE": "5",
            "ITEMS_TIMEOUT": "20",
        }
        return settings(self._home, self._url, DATABASE_URL=database_url, REDIS_URL=redis_url, **more)

    def _link(self, url):
        link = NetworkLink(urlsplit(url).port)
        self._stack.callback(link.close)
        return link


def at_port(url, port):
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))


@contextmanager
def a_fleet(home, url, database_url, redis_url):
    """Yield a fleet whose import has been created."""
    with ExitStack() as stack:
        fleet = Fleet(home, url, database_url, redis_url, stack)
        stack.callback(fleet.heal)
        fleet.start(0)
        wait_for(lambda: is_made(fleet.settings))
        yield fleet


def is_made(configured):
    try:
        return latest(configured).status is ImportStatus.RUNNING
    except Exception:  # noqa: BLE001 - the tables or the row are yet to be made
        return False


@pytest.mark.nightly
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(6))
def test_a_fleet_in_trouble_completes_its_import(home, postgres_url, redis_url, seed, record_property):
    chance, troubles = random.Random(seed), []
    with (
        demo_api(items=ITEMS, limits=f"{RATE}/1 second", delay_after_ms=100) as url,
        a_fleet(home, url, postgres_url, redis_url) as fleet,
    ):
        until = time.monotonic() + LONGEST
        for _ in range(8):
            fleet.supervise()
            time.sleep(chance.uniform(0.0, 1.5))
            if latest(fleet.settings).status is not ImportStatus.RUNNING:
                break
            living = fleet.living()
            for victim in chance.sample(living, min(len(living), chance.randint(1, 3))):
                troubles.append((chance.choice(TROUBLES), victim))
                getattr(fleet, troubles[-1][0])(victim)
            time.sleep(chance.choice((0.5, LEASE + 1.5)))
            fleet.heal()
        while latest(fleet.settings).status is ImportStatus.RUNNING:
            assert time.monotonic() < until, f"the import ends after {troubles}"
            fleet.supervise()
            time.sleep(0.5)
        wait_for(lambda: not fleet.living())
        row, stored, seen = latest(fleet.settings), rows(fleet.settings), http.get(f"{url}/_stats").json()
    again = seen["repeated_details"]
    asked_again = sum(again.values()) - len(again)
    record_property("troubles", len(troubles))
    record_property("asked_again", asked_again)
    assert (row.id, row.status, row.items_imported_count, len(stored)) == (1, ImportStatus.COMPLETED, ITEMS, ITEMS)
    assert all(item["price"] is not None for item in stored.values())
    assert seen["rate_limited"] == 0
    assert max(again.values(), default=1) <= 1 + len(troubles)
    assert asked_again <= len(troubles) * CONCURRENCY, "at most what the workers had in flight"
