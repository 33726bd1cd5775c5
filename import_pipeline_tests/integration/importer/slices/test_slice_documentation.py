"""The examples of docs/sources/slices.md, as they stand."""

import re
from pathlib import Path

import httpx
import pytest

from import_pipeline.contracts.slice_check import check_parents
from import_pipeline.importer.source_loader import validate
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through, rows, settings

PAGE = Path("docs/sources/slices.md")
COMMENTS = {"1": ["a", "b"], "2": [], "x/y": ["c"]}


@pytest.fixture(scope="module")
def examples():
    """The names that each block of the page defines."""
    found = []
    for source in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        names = {"__name__": "my_sources"}
        exec(source, names)
        found.append(names)
    return found


def answer(request):
    parts = request.url.raw_path.decode().partition("?")[0].split("/")
    if len(parts) == 2:
        return {"data": [{"id": key} for key in COMMENTS], "has_more": False}
    key = httpx.URL(f"https://x/{parts[2]}").path.removeprefix("/")
    return {"data": [{"id": each, "text": f"about {key}"} for each in COMMENTS[key]], "has_more": False}


def test_the_first_example_imports_a_list_per_row_of_its_parent(home, examples):
    sources = validate(examples[0]["SOURCES"], "SOURCES")
    check_parents(sources)
    configured = settings(home, "https://api.example.com", ISSUES_LIMITS="none", COMMENTS_LIMITS="none")
    for source in sources:
        summary = import_through(CannedTransport(answer), source, configured)
        assert (summary.status, summary.incomplete_reason) == ("completed", None)
    stored = {key: row["issue"] for key, row in rows(configured, examples[0]["Comment"]).items()}
    assert stored == {each: key for key, comments in COMMENTS.items() for each in comments}


def test_the_second_example_has_a_slice_per_month(examples):
    example = examples[1]["ContactsByMonth"]
    source = type("Whole", (example,), {"items": None, "stub": None})()
    keys = list(source.slices())
    assert (keys[0], len(keys) % 12, len(set(keys)) == len(keys)) == ("2015-01", 0, True)
    assert source.slice_request("2015-01").content == b'{"created_in":"2015-01"}'
    assert list(source.split("2024-02"))[::28] == ["2024-02-01", "2024-02-29"]
    assert list(source.split("2024-02-01")) == []
