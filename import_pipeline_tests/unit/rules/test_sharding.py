"""The launch of shards, and the worker that ends an import that several work on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.sharding import (
    FinishRole,
    LaunchShard,
    Reclaim,
    ShardedImport,
    ShardState,
    decide_shards,
    finish_role,
    may_take_lead,
)
from import_pipeline_tests.support.import_rows import NOON

FOUR = ShardedImport(wanted=4, is_listed=True, items_left=1000, enough_for_one=10)


def seconds_ago(seconds):
    return NOON - timedelta(seconds=seconds)


def seen(seconds, alive=None):
    """Return a worker whose last heartbeat is `seconds` old."""
    return Liveness(heartbeat_at=seconds_ago(seconds), lease_seconds=60, has_owner=True, process_alive=alive)


WORKING = ShardState(number=2, launches=1, run_requested_at=seconds_ago(300), run_id="b", liveness=seen(1))
#: state of shard 2 -> decisions about it
CASES = {
    "never requested": (None, [LaunchShard(number=2)]),
    "at work": (WORKING, []),
    "frozen shorter than its lease": (replace(WORKING, liveness=seen(59)), []),
    "silent for a lease": (
        replace(WORKING, liveness=seen(60)),
        [Reclaim(number=2, dead_run_id="b"), LaunchShard(number=2)],
    ),
    "its process is dead": (
        replace(WORKING, liveness=seen(1, alive=False)),
        [Reclaim(number=2, dead_run_id="b"), LaunchShard(number=2)],
    ),
    "dead, and so are three before it": (
        replace(WORKING, liveness=seen(60), launches=4),
        [Reclaim(number=2, dead_run_id="b")],
    ),
    "dead for the third time": (
        replace(WORKING, liveness=seen(60), launches=3),
        [Reclaim(number=2, dead_run_id="b"), LaunchShard(number=2)],
    ),
    "requested a moment ago": (ShardState(number=2, launches=1, run_requested_at=seconds_ago(59)), []),
    "requested, but it never started": (
        ShardState(number=2, launches=1, run_requested_at=seconds_ago(60)),
        [LaunchShard(number=2)],
    ),
    "waiting in Dagster's queue": (
        ShardState(number=2, launches=1, run_requested_at=seconds_ago(600), run_is_queued=True),
        [],
    ),
    "it left in order": (
        ShardState(number=2, launches=0, run_requested_at=seconds_ago(5), run_id="b"),
        [LaunchShard(number=2)],
    ),
    "it has nothing more to do": (ShardState(number=2, has_ended=True, run_requested_at=seconds_ago(600)), []),
}


@pytest.mark.parametrize(("shard", "decided"), CASES.values(), ids=CASES)
def test_a_shard_is_launched_unless_a_worker_runs_it_or_is_about_to(shard, decided):
    assert decide_shards(replace(FOUR, wanted=2), [shard] if shard else [], NOON) == decided


def test_all_further_shards_are_launched_at_once():
    assert decide_shards(FOUR, [], NOON) == [LaunchShard(number=2), LaunchShard(number=3), LaunchShard(number=4)]
    assert decide_shards(FOUR, [WORKING], NOON) == [LaunchShard(number=3), LaunchShard(number=4)]


NOT_WORTH_IT = {
    "one worker is enough": replace(FOUR, wanted=1),
    "no page of the list is stored": replace(FOUR, is_listed=False),
    "the one at work has the rest in its hands": replace(FOUR, items_left=10),
    "its cancellation was requested": replace(FOUR, is_cancelled=True),
    "the rate-limit store is away": replace(FOUR, waits_for_store=True),
    "the api asked for a pause": replace(FOUR, blocked_until=NOON + timedelta(seconds=1)),
}


@pytest.mark.parametrize("one", NOT_WORTH_IT.values(), ids=NOT_WORTH_IT)
def test_no_shard_is_launched_if_it_would_find_nothing_to_do(one):
    assert decide_shards(one, [], NOON) == []


def test_a_dead_shard_is_reclaimed_even_if_none_replaces_it():
    dead = replace(WORKING, number=3, liveness=seen(60), run_id="c")
    assert decide_shards(replace(FOUR, items_left=0), [WORKING, dead], NOON) == [Reclaim(number=3, dead_run_id="c")]


def test_shards_are_launched_after_a_pause_and_while_the_length_of_the_list_is_unknown():
    after = replace(FOUR, wanted=2, blocked_until=NOON, items_left=None)
    assert decide_shards(after, [], NOON) == [LaunchShard(number=2)]


#: the lead, more of the import, whether a shard takes the lead
TAKEN = {
    "it works": (seen(1), {}, False),
    "it is silent, but not yet for its lease": (seen(59), {}, False),
    "it is silent for its lease": (seen(60), {}, True),
    "its process is dead": (seen(1, alive=False), {}, True),
    "its process is there, on the same host, and silent": (seen(60, alive=True), {}, True),
    "it has left": (replace(seen(1), has_owner=False), {}, True),
    "it is dead, but the import is to be cancelled": (seen(60), {"is_cancelled": True}, False),
    "it has left for a pause": (replace(seen(1), has_owner=False), {"blocked_until": seconds_ago(-1)}, False),
    "the pause is over": (replace(seen(1), has_owner=False), {"blocked_until": NOON}, True),
}


@pytest.mark.parametrize(("lead", "more", "taken"), TAKEN.values(), ids=TAKEN)
def test_a_shard_takes_the_lead_of_a_dead_worker(lead, more, taken):
    assert may_take_lead(lead, NOON, **more) is taken


#: own numbers, {other number: is alive} -> role with no item left
TURNS = {
    "alone": ({1}, {}, FinishRole.END),
    "the lead waits for its shards": ({1}, {2: True, 3: False}, FinishRole.WAIT),
    "the lead is the last": ({1}, {2: False, 3: False}, FinishRole.END),
    "a shard leaves the end to the lead": ({3}, {1: True, 2: False}, FinishRole.LEAVE),
    "of two shards without a lead the first waits": ({2}, {1: False, 3: True}, FinishRole.WAIT),
    "and the second leaves": ({3}, {1: False, 2: True}, FinishRole.LEAVE),
    "the last shard ends it": ({3}, {1: False, 2: False, 3: True}, FinishRole.END),
    "a shard that leads waits for the others": ({1, 3}, {1: True, 2: True, 3: True}, FinishRole.WAIT),
    "and ends it as the last, though its own place is taken": ({1, 3}, {1: True, 2: False, 3: True}, FinishRole.END),
}


@pytest.mark.parametrize(("me", "others", "turn"), TURNS.values(), ids=TURNS)
def test_the_living_worker_of_the_lowest_number_ends_the_import(me, others, turn):
    assert finish_role(me, others) is turn
