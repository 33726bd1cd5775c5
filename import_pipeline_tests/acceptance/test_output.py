"""The output of `import-pipeline` for people, on a terminal and elsewhere, and for programs."""

import os
import re
import subprocess
import sys

import pytest

from import_pipeline_tests.acceptance.command_line import words
from import_pipeline_tests.support.forked_cli import serve


def test_lists_and_plans_are_printed_for_people_and_for_programs(command):
    assert command.run("list").out == "No imports. Start one with: import-pipeline run items\n"
    assert command.run("list", "--json").json == {"imports": []}
    with serve("--items", "5", "--limits", "4/1 second") as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": "4/1 second"}
        assert command.run("plan", "items").out == (
            "5 items of items: 1 list page and 5 details, 6 requests in all.\n"
            "Unchanged details are not fetched again.\n"
            "Under 4/1 second that takes at least 1.0 s.\n"
        )
        planned = command.run("plan", "items", "--json").json
        assert (planned["items_count"], planned["requests_count"], planned["ideal_seconds"]) == (5, 6, 1.0)
        result = command.run("run", "items")
    assert "5 of 5 imported" in result.out
    assert re.search(r"requests +6, 0 x 429", result.out)
    assert re.search(r"1\.\d+ x the least time under the limits, 1\.0 s", result.out)
    # The limits that were felt then count, not those that are set now.
    command.environment = {"ITEMS_LIMITS": "4000/1 second"}
    [listed] = command.run("list", "--json").json["imports"]
    assert listed["ideal_seconds"] == 1.0
    assert command.run("show", "1", "--json").json["events"][-1]["action"] == "import_completed"
    wide, narrow = command.run("list").out, command.run("list", COLUMNS="80").out
    assert "x least" in wide
    assert all(len(line) <= 80 for line in narrow.splitlines())
    for table, unchanged in ((wide, "0 +"), (narrow, "")):
        assert len(table.splitlines()) == 2
        when = r"\d{4}-\d\d-\d\d \d\d:\d\d"
        assert re.search(rf"1 +items .*completed +{when}.* 5/5 +{unchanged}0 +\d\.\d s +0", table)


def test_a_terminal_shows_a_bar_that_moves(command):
    with serve("--items", "8", "--limits", "none") as url:
        command.environment = {"ITEMS_BASE_URL": url, "ITEMS_LIMITS": "4/1 second"}
        drawn = command.run_on_terminal("run", "items")
    assert "items running" in drawn
    assert len(set(re.findall(r"[1-8]/8\b", drawn))) >= 2
    assert "8 of 8 imported" in drawn


def test_a_request_without_a_daemon_names_the_commands_that_execute_it(command):
    with serve("--items", "3", "--limits", "none") as url:
        command.environment = {"ITEMS_BASE_URL": url}
        result = words(command.run("request", "items").out).strip()
        assert result == (
            "Request 1 recorded. No Dagster daemon is running. Start one (`import-pipeline up`, `dagster "
            "dev` or `dagster-daemon run`), or run `import-pipeline start-scheduled items`."
        )
        done = words(command.run("start-scheduled", "items").out)
    assert "Import 1 is next. " in done or "Import 2 is next. " in done
    assert "of items: completed items 3 of 3 imported time" in done, "the output of `run`"


def test_text_from_an_api_cannot_control_the_terminal(command):
    """The text is in ids and reasons, in the output of `run`, `show` and the log."""
    odd = "a\x1b]0;pwned\x07\x1b[2J\u202e\nFORGED action=import_completed"
    with serve("--items", "1", "--limits", "none") as url:
        command.environment = {"ITEMS_BASE_URL": url}
        ran = command.run("run", "items", "--only", odd, status=3)
        for said in (ran, command.run("show", "1"), command.run("list")):
            printed = said.out + said.err
            assert not {"\x1b", "\x07", "\u202e"} & set(printed)
            assert not any(line.startswith("FORGED") for line in printed.splitlines())
    assert r"\x1b]0;pwned\x07" in command.run("show", "1").out
    [item] = command.run("show", "1", "--json").json["failures"]
    assert item["external_id"] == odd, "data stay as they are"


@pytest.mark.parametrize(
    ("arguments", "redirected", "status", "sentence"),
    [
        ("list", ">/dev/full", 1, "standard output cannot be written: No space left on device"),
        ("--help", ">/dev/full", 1, "standard output cannot be written: No space left on device"),
        ("list", ">&-", 1, "standard output cannot be written: it is closed"),
        ("list --json", "| true", 0, None),
        ("show 7", "| true", 2, "import 7: no import has this id; `import-pipeline list` shows the existing ones"),
        ("show 7", ">&- 2>&-", 2, None),
        ("list", ">/dev/full 2>/dev/full", 1, None),
    ],
)
def test_an_unwritable_output_is_reported_in_one_sentence(home, arguments, redirected, status, sentence):
    script = f"{sys.executable} -m import_pipeline {arguments} {redirected}; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "IMPORT_PIPELINE_HOME": str(home)}
    ended = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (status, f"import-pipeline: {sentence}\n" if sentence else "")
    if (database := home / "import_pipeline.db").exists():
        assert database.read_bytes().startswith(b"SQLite format 3"), "no output went into a file"
