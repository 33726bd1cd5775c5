"""What acceptance tests look through: commands, files, databases and addresses; nothing of ours is called in process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from import_pipeline_tests.acceptance.outside import CommandLine


@pytest.fixture(scope="session", autouse=True)
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Processes keep what they compiled, as they do where they are installed: Dagster's start takes twice as long else.

    In one folder for all workers, and not beside the code.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, outside of the checkout, in which commands are given."""
    path = tmp_path / "elsewhere"
    path.mkdir()
    return path


@pytest.fixture
def command(folder: Path, home: Path) -> Iterator[CommandLine]:
    """`import-pipeline`, with an empty state folder."""
    line = CommandLine(folder)
    yield line
    line.end_all()
