"""Claims of items: who gets which, when a claim runs out, and that everything counted is there."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import claims, heartbeats, items, transitions
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.items import FailedItem, Remaining
from import_pipeline.tracking.lists.list_pages import Discovered
from import_pipeline_tests.support.tracking_rows import (
    LEASE_SECONDS,
    NOON,
    Thing,
    at,
    begun,
    claim,
    counted,
    current,
    details,
    discover,
    do,
    failures,
    ids,
    statuses,
    stub,
    table,
    whole,
)


def test_two_workers_claim_disjoint_items(database):
    row, ada = begun(database)
    bob = replace(ada, worker="bob")
    discover(database, row, ada, *(stub(f"{number:03}") for number in range(200)))

    def work(lease):
        found = []
        while taken := claim(database, lease, 7):
            assert len(taken) <= 7
            found += ids(taken)
        return found

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, [ada, bob, ada, bob]))
    assert sorted(each for some in found for each in some) == [f"{number:03}" for number in range(200)]


def test_due_retries_come_first_then_pending_items_then_those_whose_lease_ran_out(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "abcdef"))
    a, b = claim(database, lease, 2)
    do(database, claims.fail, lease, failures([a], next_attempt_at=at(30)), NOON)
    do(database, claims.fail, lease, failures([b], next_attempt_at=at(20)), NOON)
    assert ids(claim(database, lease, 1)) == ["c"]  # its lease runs out at 60
    with database.read() as connection:
        assert items.remaining(connection, row.id) == Remaining(
            pending=3, processing=1, waiting=2, next_attempt_at=at(20)
        )
    assert ids(claim(database, lease, 1, now=at(61))) == ["b"]
    assert ids(claim(database, lease, 2, now=at(61))) == ["a", "d"]
    assert ids(claim(database, lease, 9, now=at(61))) == ["e", "f"]
    assert ids(claim(database, lease, 9, now=at(61))) == ["c"]


def test_a_retry_waits_until_it_is_due(database):
    row, lease = begun(database)
    discover(database, row, lease, stub("a"))
    do(database, claims.fail, lease, failures(claim(database, lease), next_attempt_at=at(30)), NOON)
    assert claim(database, lease, now=at(29)) == []
    [again] = claim(database, lease, now=at(30))
    assert (again.external_id, again.failure_count) == ("a", 1)


def test_a_claim_runs_out_unless_the_heartbeat_renews_it(database):
    row, ada = begun(database)
    bob = replace(ada, worker="bob")
    discover(database, row, ada, *map(stub, "ab"))
    [a] = claim(database, ada, 1)
    assert ids(claim(database, bob, 1)) == ["b"]
    do(database, heartbeats.beat, bob, at(50), Pulse())
    assert ids(claim(database, bob, now=at(LEASE_SECONDS + 1))) == ["a"]
    do(database, claims.complete, row, ada, Thing, details([a], name="late"), at(61))
    assert statuses(database, row) == {"a": ("processing", "bob"), "b": ("processing", "bob")}
    assert [thing["name"] for thing in table(database)] == ["a", "a"]


def test_what_is_done_twice_is_counted_once(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    taken = claim(database, lease)
    for _ in range(2):
        do(database, claims.complete, row, lease, Thing, details(taken[:1]), NOON)
        do(database, claims.fail, lease, failures(taken[1:]), NOON)
        do(database, claims.fail, lease, failures(taken[:1]), NOON)
    assert counted(database, row) == ((1, 0, 1), (1, 0, 1))


def test_an_item_that_its_worker_claimed_again_after_the_lease_is_counted_once_in_a_batch(database):
    """A suspended worker claims its own expired items again, and stores both answers in one batch."""
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    first = claim(database, lease)
    again = claim(database, lease, now=at(LEASE_SECONDS + 1))
    assert ids(again) == ids(first) == ["a", "b"]
    do(database, claims.complete, row, lease, Thing, details([first[0], again[0]]), at(61))
    do(database, claims.fail, lease, failures([first[1], again[1]]), at(61))
    assert counted(database, row) == ((1, 0, 1), (1, 0, 1))


def test_counters_equal_the_rows_through_a_whole_import(database):
    row, lease = begun(database)
    assert discover(database, row, lease, *map(stub, "abcdef"), whole("g"), total=9) == 7
    assert discover(database, row, lease, stub("a"), whole("g"), replace(stub("h"), importable=None, problem="no")) == 1
    assert current(database, row).items_count == 9
    assert counted(database, row) == ((1, 0, 1), (1, 0, 1))
    taken = claim(database, lease, 5)
    assert ids(taken) == list("abcde")
    do(database, claims.complete, row, lease, Thing, details(taken[:2]), NOON)
    do(database, claims.fail, lease, failures(taken[2:3], "gone"), NOON)
    do(database, claims.fail, lease, failures(taken[3:4], "later", at(30)), NOON)
    assert counted(database, row) == ((3, 0, 2), (3, 0, 2))
    with database.read() as connection:
        assert items.remaining(connection, row.id) == Remaining(
            pending=1, processing=1, waiting=1, next_attempt_at=at(30)
        )
        assert items.count(connection, row.id) == 8
        failed = [(each.external_id, each.reason, each.next_attempt_at) for each in items.failures(connection, row.id)]
    assert failed == [("c", "gone", None), ("h", "no", None), ("d", "later", at(30))]


def test_permanently_failed_items_are_listed_first(database):
    row, lease = begun(database)
    discover(database, row, lease, *map(stub, "ab"))
    a, b = claim(database, lease)
    do(database, claims.fail, lease, [*failures([a], "later", at(30)), *failures([b], "gone")], at(1))
    with database.read() as connection:
        failed = items.failures(connection, row.id)
    expected = FailedItem(external_id="b", reason="gone", failure_count=1, last_failed_at=at(1), next_attempt_at=None)
    assert failed == [expected, replace(expected, external_id="a", reason="later", next_attempt_at=at(30))]


@pytest.mark.parametrize("text_", ["a\0b", "\ud800"])
def test_text_that_no_database_holds_does_not_end_an_import_as_a_reason(database, text_):
    row, lease = begun(database)
    discover(database, row, lease, stub("a"), Discovered(external_id="b", importable=None, problem=f"no {text_}"))
    do(database, claims.fail, lease, failures(claim(database, lease), f"strange: {text_}"), NOON)
    do(database, transitions.end, lease, NOON, ImportStatus.FAILED, failure_reason=f"strange: {text_}")
    assert current(database, row).failure_reason.startswith("strange: ")


def test_heartbeats_and_batches_at_the_same_time_do_not_lock_each_other_out(database):
    row, lease = begun(database)
    discover(database, row, lease, *(stub(f"{number:03}") for number in range(150)))
    over = threading.Event()

    def beat():
        while not over.wait(0.001):
            do(database, heartbeats.beat, lease, NOON, Pulse(sent=CounterDelta(requests=1)))

    with ThreadPoolExecutor(2) as pool:
        beats = [pool.submit(beat) for _ in range(2)]
        try:
            while taken := claim(database, lease, 10):
                do(database, claims.complete, row, lease, Thing, details(taken[:5]), NOON)
                do(database, claims.fail, lease, failures(taken[5:]), NOON)
        finally:
            over.set()
        for each in beats:
            each.result()
    assert counted(database, row) == ((75, 0, 75), (75, 0, 75))
