"""An empty Dagster project that follows docs/packaging.md exactly."""

import re
from pathlib import Path

import pytest

from import_pipeline_tests.acceptance.command_line import BIN, DAGSTER, CommandLine, rows, tracking
from import_pipeline_tests.support.forked_cli import serve

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "packaging.md"


def write_project(folder):
    """Write the blocks of the document that begin with a file name to those files."""
    for name, text in re.findall(r"^```python\n# (\S+)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    [config] = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    (folder / "dagster.yaml").write_text(config)


@pytest.mark.nightly
def test_the_examples_pass_the_strict_check_of_types(folder):
    """The examples of docs/packaging.md, and the first source on the package's page."""
    write_project(folder)
    [first] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "PACKAGE.md").read_text(), re.MULTILINE | re.DOTALL)
    (folder / "my_sources.py").write_text(first)
    checked = CommandLine(folder, str(BIN / "mypy")).run("--strict", "--explicit-package-bases", ".")
    assert "no issues found in 3 source files" in checked.out


@pytest.mark.nightly
def test_an_empty_project_imports_by_following_the_document(command, folder, home):
    write_project(folder)
    with serve("--items", "6", "--limits", "none") as url:
        environment = {
            "IMPORT_PIPELINE_SOURCES": "shop.sources:SOURCES",
            "ORDERS_BASE_URL": url,
            "DAGSTER_HOME": str(folder),
            "PYTHONPATH": str(folder),
        }
        dagster = CommandLine(folder, *DAGSTER)
        dagster.environment = command.environment = environment
        result = dagster.run("definitions", "validate", "-m", "shop.definitions")
        assert "All code locations passed validation" in result.out + result.err
        dagster.run("job", "execute", "-m", "shop.definitions", "-j", "import_orders")
        summary = command.run("run", "orders", "--json").json
        doctor = command.run("doctor").out
    assert (summary["status"], summary["items_imported_count"]) == ("completed", 6)
    assert rows(tracking(home), "SELECT count(customer) AS customers FROM orders") == [{"customers": 6}]
    assert rows(tracking(home), "SELECT status FROM imports") == [{"status": "completed"}] * 2
    assert "run queue" not in doctor
    assert "run_retries" not in doctor
    dagster.end_all()
