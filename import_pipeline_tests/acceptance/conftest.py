"""Fixtures of acceptance tests: commands, files, databases, addresses. Only child processes run the package."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from import_pipeline_tests.acceptance.command_line import DAGSTERS, SCRIPT, CommandLine, far_slot
from import_pipeline_tests.support.forked_cli import start_forkserver

#: Files that take longest, the longest first. They start first, so that the end of all tests waits for none of them.
LONGEST = [f"acceptance/test_{name}.py" for name in ("lifecycle", "up", "panel", "concurrent_commands")]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of those files before all others, which keep their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get("/".join(item.path.parts[-2:]), len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def as_installed() -> Iterator[None]:
    """Let processes keep compiled bytecode, as usual: Dagster's start takes twice as long without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.delenv("COLUMNS", raising=False)
        start_forkserver()  # now: else it would look like a process of the first test
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder outside of the checkout, in which commands run."""
    path = tmp_path / "elsewhere"
    path.mkdir()
    return path


@pytest.fixture
def command(folder: Path, home: Path) -> Iterator[CommandLine]:
    """The command `import-pipeline`, with an empty state folder."""
    line = CommandLine(folder)
    yield line
    line.end_all()


@pytest.fixture
def script(folder: Path, home: Path) -> Iterator[CommandLine]:
    """The installed script `import-pipeline`: for servers, and for commands that start other processes."""
    line = CommandLine(folder, *SCRIPT)
    yield line
    line.end_all()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository as a clone has it; commands that run in it must leave no files."""
    here = Path(__file__).parents[2]
    kept = [*here.glob("*.yaml"), *here.glob("*.toml"), *here.glob("*.md"), here / "LICENSE"]
    copy = tmp_path_factory.mktemp("clone") / "checkout"
    copy.mkdir()
    for path in kept:
        shutil.copy(path, copy)
    for package in ("import_pipeline", "source_api"):
        shutil.copytree(here / package, copy / package)
    return copy


@pytest.fixture
def dagster(checkout: Path, home: Path) -> Iterator[CommandLine]:
    """The command `dagster`, run at the top of the checkout: forked, with the modules of the working copy."""
    line = CommandLine(checkout, module=DAGSTERS)
    line.environment = {"PYTHONPATH": str(checkout), "ITEMS_SLOTS": far_slot()}
    yield line
    line.end_all()


@pytest.fixture
def instance(checkout: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The Dagster instance that those commands write to."""
    from dagster import DagsterInstance  # takes two seconds, and few tests read it

    monkeypatch.chdir(checkout)
    with DagsterInstance.from_config(str(checkout)) as opened:
        yield opened


def call(*arguments: str, folder: Path) -> None:
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by pip, or by uv if the environment has no pip."""
    folder = tmp_path_factory.mktemp("wheel")
    if importlib.util.find_spec("pip"):
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder))
        call(*pip, str(checkout), folder=folder)
    else:
        uv = ("uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable)
        call(*uv, "-o", str(folder), str(checkout), folder=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only the package; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed") / "packages"
    if importlib.util.find_spec("pip"):
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder))
    else:
        pip = ("uv", "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", str(folder))
    call(*pip, str(wheel), folder=folder.parent)
    return folder
