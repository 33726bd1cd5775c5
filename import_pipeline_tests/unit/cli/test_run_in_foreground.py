"""The sentences of `run` if another import runs first, or if it is interrupted."""

import os
import signal
import sys

import pytest

from import_pipeline.cli import main
from import_pipeline.cli.run_in_foreground import first_ended_sentence, interruption_sentence, lost_request_sentence
from import_pipeline.importer.control import requests
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.summary import summarize
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import imports
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.support.import_rows import NOON, an_import


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ([], "The import that you requested has not run. Run the command again."),
        (["5"], "5 has not been imported. Run the command again."),
        (["3", "5"], "3, 5 have not been imported. Run the command again."),
        (list("1234567"), "1, 2, 3, 4, 5 and 2 more have not been imported. Run the command again."),
    ],
)
def test_a_lost_request_is_named(only, said):
    assert lost_request_sentence(only) == said


@pytest.mark.parametrize(
    ("status", "reason", "ended"),
    [
        (ImportStatus.COMPLETED, None, "completed"),
        (ImportStatus.FAILED, "the token is refused", "failed: the token is refused"),
        (ImportStatus.CANCELLED, "cancelled by Ada", "cancelled by Ada"),
    ],
)
def test_the_end_of_the_first_import_is_printed_once(status, reason, ended):
    row = an_import(status=status, failure_reason=reason, started_at=NOON, ended_at=NOON, items_imported_count=3)
    assert first_ended_sentence(summarize(row, "", NOON)) == (
        f"Import 7 of items has ended (3 imported, 0 failed): {ended}. Starting yours."
    )


def test_an_interruption_says_that_a_sensor_resumes_the_import():
    assert interruption_sentence(an_import(started_at=NOON)) == (
        "items: import 7 was interrupted. Finished items are kept, and the next run resumes it; "
        "if Dagster's daemon runs, its sensor does so within seconds. "
        "To stop it permanently: import-pipeline cancel 7"
    )


class Ending:
    """Signals this process as soon as the import's run is to be loaded, which takes seconds."""

    def __init__(self, number):
        self.number = number

    def find_spec(self, name, path=None, target=None):
        if name == "import_pipeline.defs.in_process":
            os.kill(os.getpid(), self.number)
            raise AssertionError("it continues")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_claimed_items_are_released_and_the_interruption_is_printed(number, home, monkeypatch, capsys):
    with open_installation() as installation:
        requests.request_import(installation, installation.source("items"), RequestKind.NEW)
    monkeypatch.delitem(sys.modules, "import_pipeline.defs.in_process", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Ending(number), *sys.meta_path])
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: lambda *_: None}
    before = {each: signal.signal(each, handler) for each, handler in usual.items()}
    try:
        with pytest.raises(SystemExit) as ended:
            main(["start-scheduled", "items"])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert (ended.value.code, capsys.readouterr().err.strip()) == (130, "import-pipeline: interrupted")
    with open_installation() as installation, installation.database.read() as connection:
        [asked_for] = [row for row in imports.latest(connection, limit=9) if row.slot_at is None]
    assert (asked_for.status, asked_for.run_requested_at) == (ImportStatus.SCHEDULED, None)
