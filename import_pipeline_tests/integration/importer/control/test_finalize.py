"""Housekeeping on real rows: imports without a worker are ended, missing items marked, old item rows dropped."""

import copy
from datetime import timedelta

import pytest
from sqlalchemy import select

from import_pipeline.errors import UsageError
from import_pipeline.importer.control import deletion, retries
from import_pipeline.importer.control import finalize as upkeep
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.summary import summarize
from import_pipeline.rules.status import ImportKind, ItemStatus, Trigger
from import_pipeline.tracking import retention
from import_pipeline.tracking.tables import import_events, source_items
from import_pipeline_tests.support.lifecycle import BOB, CANCELLED, COMPLETED, FAILED, RUNNING, at


def begun(simulation, worker=BOB, **options):
    """Start an import."""
    new = new_import(simulation.source, Trigger.CLI, **options)
    return simulation.begin(find_or_create(simulation.database, simulation.source, new, simulation.clock).id, worker)


def finalize(simulation, hand):
    return upkeep.finalize(simulation.installation, hand.row.id)


def test_an_import_with_nothing_left_to_do_is_completed_in_place_of_its_worker(simulation):
    hand = begun(simulation)
    hand.discover("1", "2")
    hand.succeed(hand.claim(1))
    hand.fail(hand.claim())
    simulation.advance(minutes=2)
    found = finalize(simulation, hand)
    assert (found.ended, found.sentence) == (True, f"Import {hand.row.id} is completed.")
    row = simulation.get(hand.row.id)
    assert (row.status, row.items_imported_count, row.items_failed_count) == (COMPLETED, 1, 1)
    assert (row.finalize_attempts, row.last_finalize_attempt_at) == (1, simulation.now)


def test_a_failed_item_without_a_claim_is_closed_five_minutes_after_its_last_try(simulation):
    hand = begun(simulation)
    hand.discover("1", "2")
    hand.fail(hand.claim(1), again=timedelta(hours=1))
    hand.succeed(hand.claim())
    for minutes in (2, 2):
        simulation.advance(minutes=minutes)
        found = finalize(simulation, hand)
        assert (found.ended, simulation.get(hand.row.id).status) == (False, RUNNING)
        assert found.sentence == f"Import {hand.row.id}: 1 item is unfinished; `run items` resumes it."
    simulation.advance(minutes=2)
    assert finalize(simulation, hand).ended
    row = simulation.get(hand.row.id)
    assert (row.status, row.items_imported_count, row.items_failed_count) == (COMPLETED, 1, 1)
    assert row.finalize_attempts == 3
    assert simulation.actions(row.id) == ["import_started", "items_closed", "import_completed"]


def test_an_import_of_the_list_alone_needs_no_details_to_be_completed(simulation):
    hand = begun(simulation, kind=ImportKind.DISCOVERY)
    hand.discover("1", "2")
    simulation.advance(minutes=2)
    assert finalize(simulation, hand).ended
    assert simulation.item_counts(hand.row.id) == {ItemStatus.PENDING: 2}


LEFT = {
    "a list that was not read to the end": (False, False, "its list was not read to the end"),
    "items that were not tried": (True, False, "1 item is unfinished"),
    "items that a worker has claimed": (True, True, "1 item is unfinished"),
}


@pytest.mark.parametrize(("discovered", "held", "what"), LEFT.values(), ids=LEFT)
def test_an_import_with_work_left_is_not_ended_and_is_resumed(simulation, discovered, held, what):
    hand = begun(simulation)
    hand.discover("1", "2", done=discovered)
    hand.succeed(hand.claim(1 if discovered else 2))
    if held:
        hand.claim()
    simulation.advance(minutes=2)
    found = finalize(simulation, hand)
    assert (found.ended, found.sentence) == (
        False,
        f"Import {hand.row.id}: {what}; `run items` resumes it.",
    )
    [launch] = simulation.tick().launches
    assert launch.import_id == hand.row.id, "an attempt to finalize it is no heartbeat"
    simulation.begin(hand.row.id)


def test_chosen_items_have_no_list_that_could_be_read(simulation):
    hand = begun(simulation, only=["1", "2"])
    simulation.advance(minutes=2)
    assert finalize(simulation, hand).sentence == f"Import {hand.row.id}: it has not begun; `run items` resumes it."


def test_an_import_that_has_ended_or_has_a_living_worker_is_not_finalized(simulation):
    hand = begun(simulation)
    hand.import_all("1")
    before = simulation.get(hand.row.id)
    again = finalize(simulation, hand)
    assert (again.ended, again.already) == (True, True)
    assert again.sentence == f"Import {hand.row.id} is already completed; nothing changed."
    assert simulation.get(hand.row.id) == before
    failed = begun(simulation)
    failed.end(FAILED)
    with pytest.raises(UsageError, match=f"^import {failed.row.id} is failed: expected a running one"):
        finalize(simulation, failed)
    living = begun(simulation)
    with pytest.raises(UsageError, match=f"^import {living.row.id} has a living worker, which ends it itself"):
        finalize(simulation, living)
    assert simulation.get(living.row.id).finalize_attempts == 0


def gone(simulation):
    """Return external id -> the time at which it was marked as gone."""
    columns = source_items.c
    with simulation.database.read() as connection:
        rows = connection.execute(select(columns.external_id, columns.gone_at).where(columns.gone_at.is_not(None)))
        return {row.external_id: row.gone_at for row in rows}


def numbers(upto):
    return [str(number) for number in range(1, upto + 1)]


def test_an_item_that_leaves_the_list_is_marked_until_it_is_listed_again(simulation):
    begun(simulation).import_all(*numbers(10))
    simulation.advance(hours=1)
    second = begun(simulation)
    second.import_all(*numbers(8))
    assert gone(simulation) == {"9": simulation.now, "10": simulation.now}
    assert "items_gone" in simulation.actions(second.row.id)
    begun(simulation).import_all(*numbers(9))
    assert list(gone(simulation)) == ["10"]


UNSEEN = {
    "an incomplete list": ({}, {"stopped": "the list repeats itself"}, COMPLETED),
    "a list read up to a limit": ({"limit": 8}, {}, COMPLETED),
    "chosen items": ({"only": numbers(8)}, {}, COMPLETED),
    "an import that failed": ({}, {}, FAILED),
    "an import that was cancelled": ({}, {}, CANCELLED),
}


@pytest.mark.parametrize(("options", "page", "ends"), UNSEEN.values(), ids=UNSEEN)
def test_items_are_marked_as_gone_only_after_a_whole_list(simulation, options, page, ends):
    begun(simulation).import_all(*numbers(10))
    simulation.advance(minutes=1)
    hand = begun(simulation, **options)
    hand.discover(*numbers(8), **page)
    hand.succeed(hand.claim())
    if ends is COMPLETED:
        hand.complete()
    else:
        hand.end(ends)
    assert (simulation.get(hand.row.id).status, gone(simulation)) == (ends, {})
    with pytest.raises(UsageError, match=f"^import {hand.row.id} did not read the whole list"):
        upkeep.confirm_removed(simulation.installation, hand.row.id)
    assert gone(simulation) == {}


def gone_counts(simulation, hand):
    """Return the summary's counts of missing items: those marked, and those that wait for a confirmation."""
    summary = summarize(simulation.get(hand.row.id), "", simulation.now)
    return summary.items_gone_count, summary.items_gone_unconfirmed_count


def test_more_than_a_fifth_of_the_items_is_marked_as_gone_only_after_a_confirmation(simulation):
    begun(simulation).import_all(*numbers(10))
    simulation.advance(minutes=1)
    hand = begun(simulation)
    hand.import_all(*numbers(7))
    assert gone(simulation) == {}
    assert "items_gone_unconfirmed" in simulation.actions(hand.row.id)
    assert gone_counts(simulation, hand) == (0, 3)
    simulation.advance(minutes=1)
    simulation.tick()  # makes a scheduled import, which has read no list
    assert upkeep.confirm_removed(simulation.installation, hand.row.id) == 3
    assert gone(simulation) == dict.fromkeys(("8", "9", "10"), simulation.now)
    assert simulation.actions(hand.row.id)[-1] == "items_gone"
    assert upkeep.confirm_removed(simulation.installation, hand.row.id) == 0, "it is done already"
    assert simulation.actions(hand.row.id).count("items_gone") == 1
    assert gone_counts(simulation, hand) == (3, 0)


def test_only_the_latest_import_can_mark_items_as_gone(simulation):
    begun(simulation).import_all(*numbers(10))
    early = begun(simulation)
    early.import_all(*numbers(7))
    simulation.advance(minutes=1)
    waited_long = simulation.slot(at(9))
    begun(simulation).import_all(*numbers(10))
    with pytest.raises(UsageError, match=f"^import {early.row.id} is not the latest of items"):
        upkeep.confirm_removed(simulation.installation, early.row.id)
    simulation.advance(minutes=1)
    last = simulation.begin(waited_long)
    last.import_all(*numbers(7))
    assert upkeep.confirm_removed(simulation.installation, last.row.id) == 3


def test_the_latest_import_is_the_one_that_started_last_whatever_the_clock_showed(simulation):
    begun(simulation).import_all(*numbers(10))
    simulation.advance(hours=4)  # the clock is ahead
    early = begun(simulation)
    early.import_all(*numbers(7))
    simulation.advance(hours=-4)
    begun(simulation).import_all(*numbers(10))
    with pytest.raises(UsageError, match=f"^import {early.row.id} is not the latest of items"):
        upkeep.confirm_removed(simulation.installation, early.row.id)
    assert gone(simulation) == {}


def test_items_that_a_deleted_import_has_listed_are_not_marked_by_an_earlier_one(simulation):
    begun(simulation).import_all(*numbers(10))
    early = begun(simulation)
    early.import_all(*numbers(7))
    last = begun(simulation)
    last.import_all(*numbers(10))
    deletion.delete(simulation.installation, last.row.id)
    with pytest.raises(UsageError, match=f"^items of items were seen after import {early.row.id}: only a new import"):
        upkeep.confirm_removed(simulation.installation, early.row.id)
    assert gone(simulation) == {}


def test_old_item_rows_are_dropped_in_batches_and_failed_ones_kept(simulation):
    def prune(days):
        return deletion.prune(simulation.installation, days, batch=4)

    old = begun(simulation)
    old.discover(*numbers(12))
    old.fail(old.claim(2))
    old.succeed(old.claim())
    old.complete()
    simulation.advance(days=2)
    cancelled = begun(simulation)
    cancelled.discover(*numbers(3), version="2")
    cancelled.end(CANCELLED)
    running = begun(simulation)
    running.discover("new")
    before = simulation.all()
    assert prune(2) == 0
    simulation.advance(hours=1)
    assert prune(2) == 10
    assert prune(2) == 0
    assert simulation.item_counts(old.row.id) == {ItemStatus.FAILED: 2}
    assert (simulation.item_counts(cancelled.row.id), simulation.item_counts(running.row.id)) == (
        {ItemStatus.PENDING: 3},
        {ItemStatus.PENDING: 1},
    )
    assert simulation.all() == before
    with simulation.database.read() as connection:
        found = connection.execute(select(import_events).where(import_events.c.action == retention.PRUNED)).all()
    assert [(event.import_id, event.metadata) for event in found] == [(old.row.id, {"failures": {"boom": 2}})]
    simulation.advance(days=5)
    assert prune(0) == 3
    assert simulation.item_counts(running.row.id) == {ItemStatus.PENDING: 1}


def test_a_source_may_have_its_old_item_rows_dropped_bit_by_bit(simulation):
    for _ in range(3):
        begun(simulation).import_all("1", "2")
    simulation.advance(days=3)
    keeps, drops = copy.copy(simulation.source), copy.copy(simulation.source)
    drops.prune_days = 2
    assert deletion.prune_by_age(simulation.installation, keeps) == 0
    # An import takes at least one batch, and each call does two.
    assert [deletion.prune_by_age(simulation.installation, drops) for _ in range(3)] == [4, 2, 0]
    assert deletion.prune(simulation.installation, 2, source="another") == 0


def test_rows_that_a_waiting_or_running_retry_needs_are_kept_and_reported(simulation):
    old = begun(simulation)
    old.discover("1", "2")
    old.end(CANCELLED)
    repeated = retries.retry(simulation.installation, old.row.id).row
    simulation.advance(days=1)

    def is_kept():
        dropped, kept = deletion.prune(simulation.installation, 0), deletion.kept_rows(simulation.installation, 0)
        return (dropped, kept, simulation.item_counts(old.row.id)) == (0, [old.row.id], {ItemStatus.PENDING: 2})

    assert is_kept(), "while it waits"
    running = simulation.begin(repeated.id)
    assert is_kept(), "while it runs"
    running.end(CANCELLED)
    simulation.advance(days=1)
    assert deletion.prune(simulation.installation, 0) == 2
    assert deletion.kept_rows(simulation.installation, 0) == []
