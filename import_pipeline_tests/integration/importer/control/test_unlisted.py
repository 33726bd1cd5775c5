"""Imports whose source is not listed any more: each of them can be ended, shown and deleted by its row alone."""

from dataclasses import replace

import pytest

from import_pipeline.cli.doctor_checks import unlisted_sources
from import_pipeline.errors import ImportNotFound, UsageError
from import_pipeline.importer.control import cancellation, deletion, finalize, requests, retries
from import_pipeline.importer.control.cancellation import end_cancelled
from import_pipeline.importer.monitoring.queries import view_in
from import_pipeline.settings import load_settings
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.lifecycle import ADA, CANCELLED, FAILED, RUNNING, at


@pytest.fixture
def unlisted(simulation):
    """The simulated installation after its source was taken off the list."""
    return replace(simulation.installation, sources=())


def dead(simulation):
    """An import that runs by its row, and whose worker on another host has been silent for a lease."""
    hand = simulation.begin(simulation.slot(simulation.now), ADA, run_id="run")
    hand.discover("1", "2")
    hand.claim(1)
    simulation.advance(seconds=60)
    return hand.row.id


def test_a_stalled_import_is_cancelled_at_once_and_can_be_deleted(simulation, unlisted):
    number = dead(simulation)
    assert cancellation.cancel(unlisted, number, by="Ada").sentence.startswith(
        f"Import {number} had no worker and is cancelled."
    )
    row = simulation.get(number)
    assert (row.status, row.failure_reason, row.ended_at) == (CANCELLED, "cancelled by Ada", simulation.now)
    deletion.delete(unlisted, number)
    with pytest.raises(ImportNotFound):
        simulation.get(number)


def test_a_scheduled_import_is_cancelled_and_deleted(simulation, unlisted):
    number = simulation.slot(at(9))
    cancellation.cancel(unlisted, number)
    deletion.delete(unlisted, number)
    assert simulation.all() == []


def test_a_living_worker_ends_its_cancelled_import_itself(simulation, unlisted):
    hand = simulation.begin(simulation.slot(simulation.now), ADA)
    assert cancellation.cancel(unlisted, hand.row.id).sentence.startswith(f"Import {hand.row.id} is running")
    assert (simulation.get(hand.row.id).status, end_cancelled(unlisted, "other")) == (RUNNING, [])
    simulation.advance(seconds=60)
    cancellation.cancel(unlisted, hand.row.id)
    assert simulation.get(hand.row.id).status is CANCELLED, "its worker died before it could"


def test_the_sensor_of_any_source_ends_what_a_person_cancelled_and_nothing_else(simulation, unlisted):
    number = dead(simulation)
    assert end_cancelled(unlisted, "other") == []
    assert simulation.get(number).status is RUNNING, "another installation may list its source"
    assert "the sensor" in cancellation.cancel(simulation.installation, number).sentence
    assert end_cancelled(simulation.installation, "items") == [], "its own sensor applies the rules"
    assert end_cancelled(unlisted, "other") == ["run"]
    assert (simulation.get(number).status, end_cancelled(unlisted, "other")) == (CANCELLED, [])


def test_refused_commands_name_the_one_that_helps(simulation, unlisted):
    number = dead(simulation)
    sentence = finalize.finalize(unlisted, number).sentence
    assert sentence.endswith(f"; its source is no longer listed, so `cancel {number}` ends it.")
    with simulation.database.read() as connection:
        view = view_in(connection, unlisted, simulation.get(number), simulation.now)
    assert view.has_no_worker
    assert view.stalled.next_step.endswith(f"`import-pipeline cancel {number}` ends it")
    cancellation.cancel(unlisted, number)
    with pytest.raises(UsageError, match=r"list it in IMPORT_PIPELINE_SOURCES again, then retry$"):
        retries.retry(unlisted, number)
    assert unlisted.listed("items") is None


def test_doctor_names_unlisted_sources(simulation, tmp_path, monkeypatch):
    listed = "from import_pipeline_tests.support.second_source import Books\n\nSOURCES = [Books()]\n"
    (tmp_path / "books_only.py").write_text(listed)
    monkeypatch.syspath_prepend(tmp_path)
    settings = load_settings({"IMPORT_PIPELINE_SOURCES": "books_only:SOURCES"}, tmp_path)
    hand = simulation.begin(simulation.slot(simulation.now), ADA)
    requests.request_import(simulation.installation, simulation.source, RequestKind.NEW, by="Ada")
    mend = "list the source in IMPORT_PIPELINE_SOURCES again, or end it with"
    assert unlisted_sources(settings, simulation.database) == [
        f"import {hand.row.id} of items is running, but its source is not listed: {mend} "
        f"`import-pipeline cancel {hand.row.id}`",
        "a request for an import of items waits, but that source is not listed",
    ]
    hand.end(FAILED)
    assert len(unlisted_sources(settings, simulation.database)) == 1
