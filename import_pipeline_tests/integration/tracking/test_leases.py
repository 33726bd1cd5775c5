"""Leases: who takes over finds everything released, and who was replaced can write nothing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from import_pipeline.errors import LeaseLost
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import claims, heartbeats, leases, transitions
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.lists import list_pages
from import_pipeline.tracking.lists.list_pages import Page
from import_pipeline_tests.support.tracking_rows import (
    BOB,
    NOON,
    Thing,
    at,
    begun,
    claim,
    current,
    details,
    discover,
    do,
    failures,
    ids,
    lease_of,
    statuses,
    stub,
    table,
)


def test_of_many_takeovers_at_once_one_succeeds(database):
    row, _ = begun(database)

    def take(number):
        try:
            return do(database, transitions.take_over, row, replace(BOB, id=f"bob{number}"), at(1), None).fence
        except LeaseLost:
            return None

    with ThreadPoolExecutor(8) as pool:
        taken = [found for found in pool.map(take, range(8)) if found]
    assert taken == [row.fence + 1]


def test_a_takeover_releases_the_claims_and_counts_a_resume(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "abc"))
    claim(database, lease, 2)
    taken = do(database, transitions.take_over, row, BOB, at(1), "run-2")
    assert (taken.fence, taken.resumes, taken.pid, taken.dagster_run_id) == (2, 1, 2, "run-2")
    assert statuses(database, row) == dict.fromkeys("abc", ("pending", None))
    assert ids(claim(database, lease_of(taken, BOB))) == ["a", "b", "c"]


def test_a_release_in_order_releases_the_claims_and_counts_no_resume(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    claim(database, lease, 1)
    do(database, transitions.release, lease, at(1))
    left = current(database, row)
    assert (left.status, left.host, left.pid) == (ImportStatus.RUNNING, None, None)
    assert statuses(database, row) == dict.fromkeys("ab", ("pending", None))
    assert do(database, transitions.take_over, left, BOB, at(2), None).resumes == 0


STALE_WRITES = {
    "a page": lambda connection, row, lease, taken: list_pages.store_page(
        connection, row, lease, Thing, Page(items=[stub("new"), stub("a", name="late")], checkpoint={"page": 9}), NOON
    ),
    "a selection": lambda connection, row, lease, taken: list_pages.select_items(connection, row, lease, ["new"], NOON),
    "a claim": lambda connection, row, lease, taken: claims.claim(connection, lease, 10, NOON),
    "details": lambda connection, row, lease, taken: claims.complete(
        connection, row, lease, Thing, details(taken, name="late"), NOON
    ),
    "a failure": lambda connection, row, lease, taken: claims.fail(connection, lease, failures(taken), NOON),
    "a heartbeat": lambda connection, row, lease, taken: heartbeats.beat(
        connection, lease, at(9), Pulse(sent=CounterDelta(requests=5))
    ),
    "an end": lambda connection, row, lease, taken: transitions.end(connection, lease, at(9), ImportStatus.COMPLETED),
    "a release": lambda connection, row, lease, taken: transitions.release(connection, lease, at(9)),
    "a note of its own": lambda connection, row, lease, taken: leases.write(connection, lease, at(9), metadata={}),
}


@pytest.mark.parametrize("what", STALE_WRITES)
def test_a_worker_that_was_replaced_can_write_nothing(database, what):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    taken = claim(database, lease)
    successor = do(database, transitions.take_over, row, BOB, at(1), None)
    claim(database, lease_of(successor, BOB))
    before = (current(database, row), statuses(database, row), table(database))
    with pytest.raises(LeaseLost):
        do(database, STALE_WRITES[what], row, lease, taken)
    assert (current(database, row), statuses(database, row), table(database)) == before
