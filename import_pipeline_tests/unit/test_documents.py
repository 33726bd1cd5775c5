"""Documents lead somewhere: every link to a file, and every test that is named, exists."""

import re
from pathlib import Path

import pytest

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
    unlinked = [path.name for path in DOCUMENTS if path.name not in text and path.name not in {"README.md", "panel.md"}]
    assert unlinked == []
