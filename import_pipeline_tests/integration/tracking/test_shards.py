"""The places of shards: asked for once, taken by one, given back, lost; what they hold and count."""

import pytest
from sqlalchemy import select

from import_pipeline.errors import LeaseLost
from import_pipeline.rules.status import ItemStatus
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking import claims, scheduling, shards, transitions
from import_pipeline.tracking.claims import Done
from import_pipeline.tracking.counters import NOTHING, CounterDelta
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.leases import ShardLease
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.workers import Worker
from import_pipeline_tests.support.lifecycle import BOB, CANCELLED

CARL = Worker(id="carl", host="elsewhere", pid=3)
IDS = [str(number) for number in range(1, 11)]


@pytest.fixture
def hand(simulation):
    """The run that executes an import of ten items."""
    started = simulation.begin(simulation.slot(simulation.now))
    started.discover(*IDS)
    return started


def join(hand, worker=BOB, number=2):
    """Take a shard's place."""
    simulation = hand.simulation
    row = simulation.call(shards.acquire, hand.row.id, number, worker, simulation.now, f"run of {worker.id}")
    assert row is not None
    return ShardLease(import_id=hand.row.id, fence=row.fence, worker=worker.id, seconds=60.0, shard=number)


def claim(hand, lease, limit=4):
    return hand.simulation.call(claims.claim, lease, limit, hand.simulation.now)


def succeed(hand, lease, taken, sent=NOTHING):
    done = [Done(claim=each, importable=ImportedItem(external_id=each.external_id, name="a")) for each in taken]
    return hand.simulation.call(claims.complete, hand.row, lease, ImportedItem, done, hand.simulation.now, sent=sent)


def ids(taken):
    return {each.external_id for each in taken}


def owners(hand):
    """worker -> how many items it holds."""
    with hand.simulation.database.read() as connection:
        held = connection.scalars(select(statuses.c.claimed_by).where(statuses.c.status == ItemStatus.PROCESSING))
        found = list(held)
    return {each: found.count(each) for each in sorted(found)}


def all_of(hand):
    with hand.simulation.database.read() as connection:
        return shards.of_import(connection, hand.row.id)


def test_shards_and_the_import_s_own_run_claim_different_items_and_count_together(hand):
    second, third = join(hand), join(hand, CARL, 3)
    taken = [hand.claim(4), claim(hand, second), claim(hand, third)]
    assert [len(each) for each in taken] == [4, 4, 2]
    assert sorted(ids(taken[0]) | ids(taken[1]) | ids(taken[2]), key=int) == IDS
    assert owners(hand) == {"ada": 4, "bob": 4, "carl": 2}
    hand.succeed(taken[0])
    succeed(hand, second, taken[1])
    succeed(hand, third, taken[2])
    assert hand.simulation.get(hand.row.id).items_imported_count == 10
    hand.complete()


def test_a_shard_s_heartbeat_counts_and_keeps_its_claims_but_is_no_sign_of_life_of_the_import_s_own_run(hand):
    lease = join(hand)
    before = hand.simulation.get(hand.row.id)
    [taken] = claim(hand, lease, 1)
    hand.simulation.advance(seconds=50)
    row = hand.simulation.call(
        shards.beat,
        lease,
        hand.simulation.now,
        Pulse(sent=CounterDelta(requests=3, hits=1), sleeps=2, slept_seconds=4.0),
    )
    assert (row.requests_count, row.rate_limit_hits_count, row.rate_limit_sleeps_count) == (3, 1, 2)
    assert (row.total_sleep_seconds, row.heartbeat_at) == (4.0, before.heartbeat_at)
    [shard] = all_of(hand)
    assert (shard.requests_count, shard.rate_limit_hits_count, shard.heartbeat_at) == (3, 1, hand.simulation.now)
    hand.simulation.advance(seconds=50)
    assert taken.external_id not in ids(hand.claim())
    hand.simulation.advance(seconds=11)
    assert ids(hand.claim()) == {taken.external_id}


def test_requests_are_counted_with_what_they_brought_for_the_import_and_for_each_shard(hand):
    leases = [join(hand), join(hand, CARL, 3)]
    for requests, lease in enumerate(leases, start=4):
        succeed(hand, lease, claim(hand, lease), CounterDelta(requests=requests, hits=1))
    row = hand.simulation.get(hand.row.id)
    assert (row.items_imported_count, row.requests_count, row.rate_limit_hits_count) == (8, 9, 2)
    assert [(each.requests_count, each.rate_limit_hits_count) for each in all_of(hand)] == [(4, 1), (5, 1)]


def test_sleeps_of_the_api_count_once_for_all_shards(hand):
    leases = [join(hand), join(hand, CARL, 3)]
    for lease in leases:
        hand.simulation.call(shards.beat, lease, hand.simulation.now, Pulse(sleeps=5, slept_seconds=9.0))
    row = hand.simulation.get(hand.row.id)
    assert (row.rate_limit_sleeps_count, row.total_sleep_seconds) == (5, 9.0)


def test_a_place_is_acquired_by_one_worker_and_requested_once(hand):
    now = hand.simulation.now
    assert [hand.simulation.call(shards.request_run, hand.row.id, 2, now, None) for _ in range(2)] == [True, False]
    [seen] = all_of(hand)
    assert [hand.simulation.call(shards.request_run, hand.row.id, 2, now, seen) for _ in range(2)] == [True, False]
    join(hand)
    assert hand.simulation.call(shards.acquire, hand.row.id, 2, CARL, now, None) is None
    [seen] = all_of(hand)
    assert (seen.worker, seen.launches, seen.dagster_run_id) == ("bob", 2, "run of bob")
    assert hand.simulation.call(shards.request_run, hand.row.id, 2, now, seen) is False


def test_the_claims_of_a_removed_shard_are_free_at_once_and_it_writes_nothing_more(hand):
    lease = join(hand)
    taken = claim(hand, lease)
    [seen] = all_of(hand)
    assert [hand.simulation.call(shards.reclaim, seen) for _ in range(2)] == [True, False]
    assert owners(hand) == {}
    other = join(hand, CARL)
    for action in (
        lambda: claim(hand, lease),
        lambda: succeed(hand, lease, taken),
        lambda: hand.simulation.call(shards.beat, lease, hand.simulation.now, Pulse(sent=CounterDelta(requests=7))),
        lambda: hand.simulation.call(transitions.end, lease, hand.simulation.now, CANCELLED),
    ):
        with pytest.raises(LeaseLost, match=f"shard 2 of import {hand.row.id} has ended or was taken over"):
            action()
    hand.simulation.call(shards.count_rest, lease, hand.simulation.now, Pulse(sent=CounterDelta(requests=7)))
    assert hand.simulation.call(shards.release, lease, hand.simulation.now, is_done=True, in_order=True) is False
    assert ids(claim(hand, other, 10)) == set(IDS)
    row = hand.simulation.get(hand.row.id)
    assert (row.requests_count, row.items_imported_count, all_of(hand)[0].ended_at) == (0, 0, None)


def test_a_shard_that_leaves_frees_only_what_it_holds_itself(hand):
    lease = join(hand)
    hand.claim(3)
    claim(hand, lease)
    assert hand.simulation.call(shards.release, lease, hand.simulation.now, is_done=False, in_order=True) is True
    assert owners(hand) == {"ada": 3}
    [shard] = all_of(hand)
    assert (shard.pid, shard.worker, shard.launches, shard.ended_at) == (None, None, 0, None)
    again = join(hand, CARL)
    assert again.fence == lease.fence + 1
    hand.simulation.call(shards.release, again, hand.simulation.now, is_done=True, in_order=False)
    [shard] = all_of(hand)
    assert (shard.launches, shard.ended_at) == (0, hand.simulation.now)
    assert hand.simulation.call(shards.acquire, hand.row.id, 2, BOB, hand.simulation.now, None) is None


def test_a_takeover_of_the_import_leaves_the_claims_of_shards(hand):
    lease = join(hand)
    hand.claim(3)
    taken = claim(hand, lease)
    hand.simulation.advance(seconds=60)
    successor = hand.simulation.begin(hand.row.id, CARL)
    assert owners(hand) == {"bob": 4}
    succeed(hand, lease, taken)
    successor.leave()
    assert hand.simulation.get(hand.row.id).items_imported_count == 4


def test_the_end_of_an_import_ends_the_lease_of_its_shards_whose_last_requests_count_all_the_same(hand):
    lease = join(hand)
    claim(hand, lease)
    hand.end(CANCELLED)
    assert owners(hand) == {}
    with pytest.raises(LeaseLost):
        hand.simulation.call(shards.beat, lease, hand.simulation.now, Pulse(sent=CounterDelta(requests=5)))
    [left] = hand.simulation.call(shards.unreleased, "items")
    assert left.number == 2
    hand.simulation.call(shards.count_rest, lease, hand.simulation.now, Pulse(sent=CounterDelta(requests=5)))
    hand.simulation.call(shards.release, lease, hand.simulation.now, is_done=True, in_order=True)
    assert hand.simulation.get(hand.row.id).requests_count == 5
    assert hand.simulation.call(shards.unreleased, "items") == []


def test_a_shard_may_end_the_import_after_the_leading_run_died(hand):
    lease = join(hand)
    hand.simulation.call(transitions.end, lease, hand.simulation.now, CANCELLED)
    with pytest.raises(LeaseLost):
        hand.beat()
    assert hand.simulation.get(hand.row.id).status is CANCELLED


def test_the_shards_of_a_deleted_import_are_deleted_with_it(hand):
    join(hand)
    hand.end(CANCELLED)
    with hand.simulation.database.write() as connection:
        assert scheduling.delete_ended(connection, hand.row.id)
        assert shards.of_import(connection, hand.row.id) == []
