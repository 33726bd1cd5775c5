"""The events of an import that `show` lists: each fact once, with its cause."""

from import_pipeline.importer.control import requests
from import_pipeline.tracking import events
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.lifecycle import ADA, BOB


def messages(simulation, hand):
    with simulation.database.read() as connection:
        return [message for _, _, message in events.latest(connection, hand.row.id)]


def test_the_request_of_an_import_is_listed_once(simulation):
    requests.request_import(simulation.installation, simulation.source, RequestKind.NEW, by="Ada")
    hand = simulation.launch()
    assert messages(simulation, hand) == [
        "Requested by Ada.",
        f"Import {hand.row.id} is next.",
        "Started by process 1 on elsewhere.",
    ]


def test_the_reason_for_an_incomplete_import_is_listed_once(simulation):
    hand = simulation.begin(simulation.slot(simulation.now))
    hand.discover("1", stopped="the list repeats itself")
    hand.succeed(hand.claim())
    hand.complete()
    assert messages(simulation, hand)[1:] == [
        "Completed: 1 imported, 0 unchanged, 0 failed.",
        "Incomplete: the list repeats itself.",
    ]


def test_a_resume_states_whether_the_previous_process_released_the_import_or_died(simulation):
    hand = simulation.begin(simulation.slot(simulation.now))
    hand.leave()
    simulation.begin(hand.row.id, BOB)
    simulation.advance(seconds=60)
    simulation.begin(hand.row.id, ADA)
    assert messages(simulation, hand)[1:] == [
        "Process 2 on elsewhere resumes the import: the previous process has released it.",
        "Process 1 on elsewhere resumes the import: process 2 is dead (resume 1 of 3 without progress).",
    ]
