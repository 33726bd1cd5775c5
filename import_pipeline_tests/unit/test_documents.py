"""Documents lead somewhere: every link to a file, and every test that is named, exists."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from import_pipeline.testing import rehearse

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").glob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_that_there_are(document):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("name", ["SECURITY.md", "docs/reliability.md"])
def test_tests_that_are_named_exist(name):
    named = set(re.findall(r"`((?:unit|integration|acceptance|faults)/[\w/]+\.py)", (ROOT / name).read_text()))
    assert named
    assert [each for each in named if not (ROOT / "import_pipeline_tests" / each).exists()] == []


def test_the_readme_is_short_and_leads_to_every_document():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    unlinked = [
        path.name
        for path in DOCUMENTS
        if path.name not in text and path.name not in {"README.md", "PACKAGE.md", "panel.md"}
    ]
    assert unlinked == []


def test_the_page_of_the_package_needs_no_checkout():
    text = (ROOT / "PACKAGE.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    assert [link for pair in links for link in pair if link and not link.startswith("https://")] == []
    assert "make " not in text
    assert "docs/" not in text


def test_the_first_source_on_the_page_of_the_package_imports(tmp_path):
    [source] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "PACKAGE.md").read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "my_sources"}
    exec(source, names)
    [orders] = names["SOURCES"]
    pages = {"/api/items": {"data": [{"id": 1}, {"id": 2}], "next_page_url": None}}
    details = {f"/api/items/{number}": {"name": f"customer {number}"} for number in (1, 2)}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=(pages | details)[request.url.path]))
    done = rehearse(orders, transport, tmp_path)
    assert done.failures == {}
    assert {key: row["customer"] for key, row in done.rows.items()} == {"1": "customer 1", "2": "customer 2"}
