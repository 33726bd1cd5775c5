"""`new-source` as a user runs it: the written files work unchanged."""

import pytest

from import_pipeline_tests.acceptance.command_line import BIN, CommandLine


@pytest.fixture
def written(command, folder):
    result = command.run("new-source", "late_orders", "--json").json
    assert [str(folder / name) for name in ("late_orders.py", "test_late_orders.py")] == result["written"]
    return ["late_orders.py", "test_late_orders.py"]


def test_the_written_test_passes_and_both_files_are_clean(folder, written):
    passed = CommandLine(folder, str(BIN / "pytest")).run("-q", "-p", "no:cacheprovider", written[1])
    assert "3 passed" in passed.out
    ruff = CommandLine(folder, str(BIN / "ruff"))
    ruff.run("check", "--isolated", "--select", "E,F,W,I,N,UP,B,ANN,D1,RUF", "--line-length", "120", *written)
    ruff.run("format", "--isolated", "--line-length", "120", "--check", *written)


@pytest.mark.nightly
def test_the_written_files_are_typed(folder, written):
    CommandLine(folder, str(BIN / "mypy")).run("--strict", *written)


def test_the_written_source_can_be_listed_at_once(command, written):
    result = command.run("schedule", "late_orders", "--json", IMPORT_PIPELINE_SOURCES="late_orders:SOURCES").json
    assert result["source"] == "late_orders"
