"""The command that shows, sets and resets a bookmark."""

import json

import pytest

from import_pipeline.cli import main
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.changes_api import ChangesSource

SOURCES = [ChangesSource()]
WHOLE = [ItemsSource()]


@pytest.fixture
def bookmark(home, monkeypatch, capsys):
    """Return a function that runs the command and returns its exit status, output and error."""
    monkeypatch.setenv("IMPORT_PIPELINE_SOURCES", f"{__name__}:SOURCES")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["bookmark", "items", *arguments])
        return ended.value.code, *capsys.readouterr()

    return run


def test_a_bookmark_is_set_shown_and_reset(bookmark):
    assert bookmark() == (0, "items has no bookmark: its next import reads the whole list.\n", "")
    assert bookmark("--set", "5", "--yes") == (0, "Set the bookmark of items to 5. There was none.\n", "")
    shown = json.loads(bookmark("--json")[1])
    assert (shown["bookmark"], shown["import_id"], shown["owed_items_count"]) == ("5", None, 0)
    assert bookmark("--reset", "--yes") == (0, "Reset the bookmark of items. It was 5.\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--set", "soon", "--yes"), "items: expected a number such as 5, got 'soon'"),
        (("--set", "", "--yes"), "items: expected a position of 1 to 255 characters, got 0"),
        (("--set", "7"), "Set the bookmark to 7 of items? It is 5 now. No terminal is attached: confirm with --yes"),
        (("--set", "7", "--reset"), "--set cannot be given together with --reset"),
    ],
)
def test_a_wrong_value_changes_nothing(bookmark, arguments, sentence):
    bookmark("--set", "5", "--yes")
    code, _, error = bookmark(*arguments)
    assert (code, sentence in error) == (2, True)
    assert json.loads(bookmark("--json")[1])["bookmark"] == "5"


def test_a_source_that_is_not_incremental_has_none(bookmark, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_SOURCES", f"{__name__}:WHOLE")
    sentence = "items is not incremental: it has no bookmark, each import reads the whole list"
    assert bookmark() == (2, "", f"import-pipeline: {sentence}\n")
