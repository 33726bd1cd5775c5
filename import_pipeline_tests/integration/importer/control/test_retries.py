"""Retries on real rows: a new import of the items that another one left failed or unfinished."""

import pytest

from import_pipeline.errors import UsageError
from import_pipeline.importer.control import deletion, retries
from import_pipeline.importer.control.requests import request_import
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.lifecycle import BOB, COMPLETED, FAILED, TEN, at
from import_pipeline_tests.support.operator_requests import WHO, assert_recorded, broken_import


def test_a_retry_takes_what_failed_or_was_not_done_and_nothing_else(simulation):
    broken = broken_import(simulation)
    broken.end(FAILED)
    made = retries.retry(simulation.installation, broken.row.id, **WHO).row
    assert (made.kind, made.trigger, made.status) == (ImportKind.SELECTION, "retry", ImportStatus.SCHEDULED)
    assert (made.retry_of, made.slot_at, made.scheduled_at, made.requested_by) == (broken.row.id, None, TEN, "Ada")
    sentence = f"Import {made.id} retries 3 items of import {broken.row.id}."
    what = {"wish": "retry", "import_id": broken.row.id, "handled_at": TEN, "result_import_id": made.id}
    assert_recorded(simulation, **what, outcome=sentence)
    assert simulation.event_sentences(made.id) == [
        ("import_requested", f"{sentence} Requested by Ada: the boss asked.")
    ]
    with pytest.raises(UsageError, match=f"^import {made.id} retries items of import {broken.row.id}: wait"):
        deletion.delete(simulation.installation, broken.row.id)
    again = retries.retry(simulation.installation, broken.row.id, by="Bob")
    already = f"Import {made.id} already retries what import {broken.row.id} left; nothing was added."
    assert (again.row.id, again.already, len(simulation.requests())) == (made.id, already, 1)
    hand = simulation.launch(BOB)
    assert hand.row.id == made.id
    hand.select()
    taken = hand.claim()
    assert {(each.external_id, each.failure_count, each.version) for each in taken} == {
        ("bad", 0, "1"),
        ("waiting", 0, "1"),
        ("untried", 0, "1"),
    }
    hand.succeed(taken)
    hand.complete()
    row = simulation.get(made.id)
    assert (row.status, row.items_count, row.items_imported_count) == (COMPLETED, 3, 3)


def test_what_was_imported_since_is_not_retried_again(simulation):
    broken = broken_import(simulation)
    broken.end(FAILED)
    retries.retry(simulation.installation, broken.row.id)
    hand = simulation.launch(BOB)
    hand.select()
    taken = {each.external_id: each for each in hand.claim()}
    hand.succeed([taken["waiting"], taken["untried"]])
    hand.fail([taken["bad"]])
    hand.complete()
    again = retries.retry(simulation.installation, broken.row.id).row
    assert simulation.requests()[-1]["outcome"] == f"Import {again.id} retries 1 item of import {broken.row.id}."
    hand = simulation.launch(BOB)
    hand.select()
    taken = hand.claim()
    assert [each.external_id for each in taken] == ["bad"]
    hand.succeed(taken)
    hand.complete()
    for number in (broken.row.id, hand.row.retry_of, hand.row.id - 1):
        with pytest.raises(UsageError, match=f"^import {number} has nothing to retry: no item is failed or unfin"):
            retries.retry(simulation.installation, number)


def test_what_a_slot_s_import_left_is_retried_although_one_of_a_higher_number_ran_before_it(simulation):
    waiting = simulation.slot(at(12))
    request_import(simulation.installation, simulation.source, RequestKind.NEW)
    simulation.launch().import_all("1", "2")
    simulation.advance(hours=2)
    late = simulation.launch()
    assert late.row.id == waiting
    late.discover("1", "2", version="2")
    late.fail(late.claim(1))
    late.succeed(late.claim(1))
    late.complete()
    made = retries.retry(simulation.installation, late.row.id).row
    assert simulation.requests()[-1]["outcome"] == f"Import {made.id} retries 1 item of import {late.row.id}."


def all_done(simulation):
    simulation.slot(at(9))
    hand = simulation.launch()
    hand.import_all("1")
    return hand.row.id


REFUSED = {
    "an import that runs": (
        lambda simulation: broken_import(simulation).row.id,
        "is running: expected one that has ended",
    ),
    "one that left nothing": (all_done, "has nothing to retry: no item is failed or unfinished, except"),
}


@pytest.mark.parametrize(("make", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_retry_of_nothing_is_refused(simulation, make, sentence):
    number = make(simulation)
    with pytest.raises(UsageError, match=f"^import {number} {sentence}"):
        retries.retry(simulation.installation, number)
    assert simulation.requests() == []
