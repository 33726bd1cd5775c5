"""Dagster's own commands in a checkout, configured only by the API's URL and a state folder."""

import re
import shlex
from pathlib import Path

import dagster as dg
import pytest

from import_pipeline_tests.acceptance.command_line import (
    BIN,
    DAGSTER,
    DGS,
    CommandLine,
    events_of,
    rows,
    stats,
    tracking,
)
from import_pipeline_tests.support.forked_cli import serve

DOCUMENT = Path(__file__).parents[2] / "docs" / "dagster.md"
DEFINITIONS = ("-m", "import_pipeline.definitions")
CHECKS = {"all_items_imported", "no_unexpected_429", "counts_agree_with_the_source", "nothing_failed_for_good"}


@pytest.fixture
def launchers(checkout):
    """The `dg` command, run at the top of the checkout: the installed one, and a forked one."""
    lines = [CommandLine(checkout, str(BIN / "dg")), CommandLine(checkout, module=DGS)]
    yield lines
    for line in lines:
        line.end_all()


@pytest.fixture
def installed_dagster(checkout):
    """The installed command `dagster`, run there."""
    line = CommandLine(checkout, *DAGSTER)
    yield line
    line.end_all()


def contents(folder: Path):
    """Return every file with its content, except compiled code, which git ignores."""
    return {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"
    }


def own_warnings(text):
    """Return the warnings, except those that recommend `dg` instead of `dagster`."""
    return [
        line for line in text.splitlines() if re.search(r"\w*Warning\b", line) and "SupersessionWarning" not in line
    ]


def documented_launches():
    """Return the arguments of each `dg launch` in docs/dagster.md, split as a shell does."""
    lines = re.findall(r"^dg (launch .*)$", DOCUMENT.read_text(), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_the_documented_commands_work_at_the_top_of_a_checkout_and_leave_it_as_it_was(
    dagster, installed_dagster, launchers, instance, checkout, home
):
    before = contents(checkout)
    with serve("--items", "20", "--limits", "none") as url:
        dagster.environment |= {"ITEMS_BASE_URL": url}
        for line in (installed_dagster, *launchers):
            line.environment = dagster.environment
        everything, one = documented_launches()
        installed, forked = launchers
        said = [installed_dagster.run("definitions", "validate", "-w", "workspace.yaml")]
        said += [installed.run(*everything)]
        assert stats(url)["details"] == 20
        said += [forked.run(*one)]
        assert stats(url)["repeated_details"] == {"17": 2}
        said += [dagster.run("asset", "materialize", *DEFINITIONS, "--select", "discovered_items")]
        assert stats(url)["details"] == 21
    assert contents(checkout) == before
    assert [own_warnings(each.out + each.err) for each in said] == [[], [], [], []]
    assert [each for each in said[1:3] if "SupersessionWarning" in each.err] == []
    kinds = rows(tracking(home), "SELECT kind, status FROM imports ORDER BY id")
    assert [(row["kind"], row["status"]) for row in kinds] == [
        ("full", "completed"),
        ("selection", "completed"),
        ("discovery", "completed"),
    ]
    check_the_events(instance)


def check_the_events(instance):
    discovery, selection, full = instance.get_runs()
    assert [run.tags["import_id"] for run in (discovery, selection, full)] == ["3", "2", "1"]
    assert {run.status for run in (discovery, selection, full)} == {dg.DagsterRunStatus.SUCCESS}
    assert (full.job_name, full.tags["import_source"]) == ("import_items", "items")
    said = [entry.user_message for entry in instance.all_logs(full.run_id) if not entry.is_dagster_event]
    assert [re.search(r"\[(\w+)\]$", sentence)[1] for sentence in said] == ["import_started", "import_completed"]
    everything = {str(number) for number in range(1, 21)}
    assert set(instance.get_dynamic_partitions("items")) == everything
    assert instance.get_materialized_partitions(dg.AssetKey("enriched_items")) == everything
    materializations = events_of(instance, full.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    by_asset = {}
    for event in materializations:
        by_asset.setdefault(event.asset_key.to_user_string(), []).append(event)
    assert {name: len(events) for name, events in by_asset.items()} == {
        "discovered_items": 1,
        "enriched_items": 21,
        "imports": 1,
        "import_item_statuses": 1,
    }
    item = next(event.materialization for event in by_asset["enriched_items"] if event.partition == "17")
    assert {key: value.value for key, value in item.metadata.items() if key != "request_seconds"} == {
        "tries": 1,
        "http_status": 200,
        "import_id": 1,
    }
    assert 0 < item.metadata["request_seconds"].value < 60
    assert by_asset["imports"][0].materialization.metadata["panel"].value == "http://127.0.0.1:3001/imports/1"
    figures = by_asset["discovered_items"][0].materialization.metadata
    assert (figures["items_imported"].value, figures["items_failed"].value, figures["requests"].value) == (20, 0, 21)
    counted = {
        name: by_asset[name][0].materialization.metadata["dagster/row_count"].value
        for name in by_asset
        if "import" in name
    }
    assert counted == {"imports": 1, "import_item_statuses": 20}
    checks = [
        event.asset_check_evaluation_data
        for event in events_of(instance, full.run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    assert {check.check_name: check.passed for check in checks} == dict.fromkeys(CHECKS, True)
    of_selection = events_of(instance, selection.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert [e.partition for e in of_selection if e.asset_key == dg.AssetKey("enriched_items")] == ["17"]


def test_an_import_that_fails_is_a_failed_run_with_its_reason(dagster, instance):
    ended = dagster.run(
        "job", "execute", *DEFINITIONS, "-j", "import_items", status=1, ITEMS_BASE_URL="http://127.0.0.1:9"
    )
    assert "the API at http://127.0.0.1:9 cannot be reached" in ended.out + ended.err
    [run] = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    [failure] = events_of(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE)
    assert failure.step_failure_data.user_failure_data.description.startswith(
        "the API at http://127.0.0.1:9 cannot be reached: "
    )
