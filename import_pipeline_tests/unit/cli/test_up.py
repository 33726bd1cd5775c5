"""The environment of the processes that `up` starts."""

import socket
from pathlib import Path

import pytest
from dagster._core.workspace.load_target import ModuleTarget, PyProjectFileTarget, WorkspaceFileTarget

from import_pipeline.cli import main
from import_pipeline.cli.up import DEFINITIONS, dagster_home, environment_of_servers
from import_pipeline.settings import load_settings


@pytest.mark.parametrize("is_set", [True, False])
def test_dagsters_folder_has_the_name_that_dagster_finds_it_under(is_set, tmp_path, monkeypatch):
    """`export DAGSTER_HOME=$PWD` may go through a link, and so may the way to the current folder."""
    folder, link = tmp_path / "checkout", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    (folder / "dagster.yaml").touch()
    monkeypatch.chdir(link)
    if is_set:
        monkeypatch.setenv("DAGSTER_HOME", str(link))
    else:
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert dagster_home(load_settings({}, link)) == str(folder.resolve())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"SOURCE_API_PORT": "9123"}, "http://127.0.0.1:9123"),
        ({"SOURCE_API_PORT": "9123", "ITEMS_BASE_URL": "https://a.example"}, "https://a.example"),
        ({"IMPORT_PIPELINE_SOURCES": "shop.sources:SOURCES"}, None),
    ],
)
def test_the_example_asks_the_demo_api_and_a_source_of_ones_own_called_items_does_not(
    said, expected, tmp_path, monkeypatch
):
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    there = load_settings(environment_of_servers(load_settings()), tmp_path)
    assert there.environment.get("ITEMS_BASE_URL") == expected


CHECKOUT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "target",
    [
        ModuleTarget(module_name=DEFINITIONS, attribute=None, working_directory=None, location_name=None),
        PyProjectFileTarget(str(CHECKOUT / "pyproject.toml")),
        WorkspaceFileTarget(paths=[str(CHECKOUT / "workspace.yaml")]),
    ],
    ids=["up and -m", "dagster dev", "-w workspace.yaml"],
)
def test_a_schedule_that_is_switched_off_is_off_however_dagster_is_started(target):
    assert [origin.location_name for origin in target.create_origins()] == [DEFINITIONS]


def test_a_wrong_list_of_sources_is_reported_before_anything_starts(home, monkeypatch, capsys):
    monkeypatch.setenv("IMPORT_PIPELINE_SOURCES", "math:pi")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("SOURCE_API_PORT", str(taken.getsockname()[1]))  # else this would start servers
        with pytest.raises(SystemExit) as ended:
            main(["up"])
    said = "import-pipeline: math:pi.list: expected a list of ImportSource instances, got float\n"
    assert (ended.value.code, capsys.readouterr().err) == (2, said)
