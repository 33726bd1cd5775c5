"""The cells in which `make versions` tries the wheel."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNNING = "{}.{}".format(*sys.version_info)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def versions():
    """Return the script, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("versions", ROOT / "scripts" / "versions.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "versions", module)  # dataclasses look for their module there
        spec.loader.exec_module(module)
        yield module


def test_the_package_names_every_python_from_its_lower_bound_without_a_gap(versions):
    named = versions.named_versions(PROJECT)
    [major, lowest] = PROJECT["requires-python"].removeprefix(">=").split(".")
    assert named == [f"{major}.{minor}" for minor in range(int(lowest), int(lowest) + len(named))]
    assert RUNNING in named


@pytest.mark.parametrize(
    ("program", "taken"),
    [("exit 127", False), ("echo 2.7", False), ("echo 3.12", True), ("echo 3.12; exit 1", False)],
    ids=["a shim without a version", "another version", "this version", "one that fails"],
)
def test_a_python_counts_if_it_starts_and_is_of_that_version(versions, tmp_path, program, taken):
    candidate = tmp_path / "python3.12"
    candidate.write_text(f"#!/bin/sh\n{program}\n")
    candidate.chmod(0o755)
    assert versions.is_of(candidate, "3.12") is taken


def test_what_a_cell_runs_is_there(versions):
    named = [word.removeprefix("--ignore=").partition("::")[0] for part in versions.PARTS for word in part]
    paths = [word for word in named if "/" in word]
    assert len(paths) >= len(versions.PARTS)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_tests_of_a_cell_lie_where_no_package_can_hide_the_wheel(versions, tmp_path):
    copy = versions.copy_without_packages(tmp_path / "tests")
    there = {path.name for path in copy.iterdir()}
    assert {"import_pipeline_tests", "pyproject.toml", "docs"} <= there
    assert there.isdisjoint({"import_pipeline", "source_api", ".venv", ".git"})


def test_a_step_that_fails_is_shown_with_all_that_it_printed(versions, tmp_path):
    with pytest.raises(versions.Failed, match=r"(?s)^sh -c .*\nout\nerr\n$"):
        versions.call("sh", "-c", "echo out; echo err >&2; exit 3", folder=tmp_path)
