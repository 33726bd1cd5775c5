"""What `show` tells of an import's life: each thing once, and in words that say what was so."""

from import_pipeline.importer.control import requests
from import_pipeline.tracking import events
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.lifecycle import ADA, BOB


def told(simulation, hand):
    with simulation.database.read() as connection:
        return [message for _, _, message in events.latest(connection, hand.row.id)]


def test_that_an_import_was_asked_for_is_told_once(simulation):
    requests.request_import(simulation.installation, simulation.source, RequestKind.NEW, by="Ada")
    hand = simulation.launch()
    assert told(simulation, hand) == [
        "Requested by Ada.",
        f"Import {hand.row.id} is next.",
        "Started by process 1 on elsewhere.",
    ]


def test_why_an_import_is_incomplete_is_told_once(simulation):
    hand = simulation.begin(simulation.slot(simulation.now))
    hand.discover("1", stopped="the list repeats itself")
    hand.succeed(hand.claim())
    hand.complete()
    assert told(simulation, hand)[1:] == [
        "Completed: 1 imported, 0 unchanged, 0 failed.",
        "Incomplete: the list repeats itself.",
    ]


def test_who_goes_on_says_whether_the_one_before_let_go_or_is_gone(simulation):
    hand = simulation.begin(simulation.slot(simulation.now))
    hand.leave()
    simulation.begin(hand.row.id, BOB)
    simulation.advance(seconds=60)
    simulation.begin(hand.row.id, ADA)
    assert told(simulation, hand)[1:] == [
        "Process 2 on elsewhere resumes the import: the previous process has released it.",
        "Process 1 on elsewhere resumes the import: process 2 is dead (resume 1 of 3 without progress).",
    ]
