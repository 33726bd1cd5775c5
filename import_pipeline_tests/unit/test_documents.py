"""Links, named tests and named paths of the documents exist, and reference pages agree with the code."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from import_pipeline.testing import rehearse

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for folder in ("docs", "deploy", "source_api") for path in (ROOT / folder).rglob("*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES]
TEMPLATES = sorted((ROOT / "import_pipeline" / "cli" / "templates").glob("*.txt"))
#: Modules from which documents and templates import.
PUBLIC = ("import_pipeline", "import_pipeline.dagster", "import_pipeline.testing")
#: Folders that a path in a document may start from.
FOLDERS = ("", "import_pipeline", "import_pipeline_tests")


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def script(name: str) -> Any:
    """Return a program of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses need it there
    spec.loader.exec_module(module)
    return module


def code(text: str) -> list[str]:
    """Return the code spans of the prose, without code blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_that_exist(document):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_to_sections_lead_to_headings(document):
    def headings(path: Path) -> set[str]:
        lines = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}

    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text())
    targets = [(document.parent / path if path else document, anchor) for path, anchor in links]
    assert [(path.name, anchor) for path, anchor in targets if anchor not in headings(path)] == []


def public_names(module: str) -> set[str] | None:
    """Return the names that a document may import from a module; None if it may not import from it."""
    return set(importlib.import_module(module).__all__) if module in PUBLIC else None


@pytest.mark.parametrize("text", [*DOCUMENTS, *TEMPLATES], ids=name_of)
def test_documents_import_only_public_names(text):
    imported = re.findall(
        r"^ *from (import_pipeline\S*) import (\(.*?\)|.*?$)", text.read_text(), re.MULTILINE | re.DOTALL
    )
    imported += re.findall(r"`(\w+)(?:\([^`\n]*\))?` (?:of|from) `(import_pipeline[\w.]*)`", text.read_text())
    deep = []
    for one, other in imported:
        module, names = (one, other) if one.startswith("import_pipeline") else (other, one)
        wanted = {name.split(" as ")[0] for name in re.findall(r"[A-Za-z]\w*(?: as \w+)?", names)}
        deep += [(module, wanted)] * (not wanted <= (public_names(module) or set()))
    assert deep == []
    assert re.findall(r"^ *import import_pipeline\..*", text.read_text(), re.MULTILINE) == []


def test_public_names_load_dagster_only_from_its_module():
    program = (
        "import sys, import_pipeline\n"
        "for name in import_pipeline.__all__: getattr(import_pipeline, name)\n"
        "assert 'dagster' not in sys.modules\n"
        "import import_pipeline.dagster\n"
        "assert 'dagster' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["SECURITY.md", "docs/reliability.md"])
def test_tests_that_are_named_exist(name):
    named = set(re.findall(r"`((?:unit|integration|acceptance|faults)/[\w/]+\.py)", (ROOT / name).read_text()))
    assert named
    assert [each for each in named if not (ROOT / "import_pipeline_tests" / each).exists()] == []


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_that_are_named_exist(name):
    """A bare file name belongs to a folder that its line names."""
    missing = []
    for line in (ROOT / name).read_text().splitlines():
        paths = [each for each in code(line) if re.fullmatch(r"[\w.-]+(/[\w.-]*)+|[\w-]+\.(py|md|toml|html|css)", each)]
        named = [folder for path in paths for folder in (path, Path(path).parent.as_posix())]
        starts = [ROOT / start / folder for start in FOLDERS for folder in ["", *named]]
        missing += [path for path in paths if not any((start / path).exists() for start in starts)]
    assert missing == []


def test_the_map_names_every_folder():
    """Templates, static files and migrations' versions belong to the folder above."""
    named = set(code((ROOT / "ARCHITECTURE.md").read_text()))
    package = ROOT / "import_pipeline"
    folders = [path.parent.relative_to(package).as_posix() for path in package.rglob("*/__init__.py")]
    assert [each for each in folders if f"{each}/" not in named and not each.endswith("versions")] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_lines_of_prose_are_short(document):
    """Rows of tables, which cannot be broken, and blocks of code are free."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    limit = 200
    assert [line for line in text.splitlines() if len(line) > limit and not line.startswith("|")] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_prose_is_plain(document):
    """Only pages written by hand count: the sentences of generated pages are measured in the code."""
    text = document.read_text().partition("<!-- written by")[0]
    assert re.findall(rf"\b{script('check_house').DIALECT.pattern}\b", text, re.IGNORECASE) == []


@pytest.mark.parametrize("page", ["settings", "commands"])
def test_a_reference_page_is_what_the_code_says(page):
    """If not: python scripts/reference.py"""
    reference = script("reference")
    written = (ROOT / "docs" / f"{page}.md").read_text().partition(reference.MARKER)[2].strip()
    assert written == getattr(reference, f"{page}_reference")(), "run: python scripts/reference.py"


def test_the_recipes_are_the_examples_as_they_stand():
    """If not: python scripts/reference.py"""
    reference = script("reference")
    page = (ROOT / "docs" / reference.COOKBOOK).read_text()
    shown = {ROOT / found["file"] for found in reference.RECIPE.finditer(page)}
    examples = {path for path in (ROOT / "import_pipeline/examples/shapes").glob("*.py") if path.name != "__init__.py"}
    assert shown == examples
    assert reference.cookbook(page) == page, "run: python scripts/reference.py"


@pytest.mark.parametrize(
    "example", sorted(p.name for p in (ROOT / "import_pipeline/examples/shapes").glob("[a-z]*.py"))
)
def test_an_example_has_at_most_30_lines_of_classes_per_source(example):
    """Imports and the base class are the same in each file; blank lines do not count."""
    text = (ROOT / "import_pipeline/examples/shapes" / example).read_text().partition("(DeclarativeBase): ...")[2]
    lines = sum(bool(line.strip()) for line in text.splitlines())
    assert 10 < lines <= 30 * text.count("(ImportSource)")


def test_every_page_is_reached_from_the_readme():
    reached, new = set(), {ROOT / "README.md"}
    while new:
        page = new.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+\.md|[^)#:]+/)(?:#[^)]*)?\)", page.read_text())
        targets = {(page.parent / link).resolve() for link in links}
        pages = {target / "README.md" if target.is_dir() else target for target in targets}
        new |= {each for each in pages if each.exists()} - reached
    assert [name_of(page) for page in DOCUMENTS if page not in reached and page.name != "PACKAGE.md"] == []


def test_the_page_of_the_package_needs_no_checkout():
    text = (ROOT / "PACKAGE.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    assert [link for pair in links for link in pair if link and not link.startswith("https://")] == []
    assert "make " not in text
    assert "docs/" not in text


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert sum(len(line.split()) for line in lines) <= 1000
    assert max(map(len, lines)) <= 200


def first_source(name: str) -> Any:
    """Return the source that the document shows, as a reader would copy it."""
    [source] = re.findall(r"^```python\n(.*?)^```$", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "my_sources"}
    exec(source, names)
    [orders] = names["SOURCES"]
    return orders


@pytest.mark.parametrize(
    ("name", "path", "last_page", "field"),
    [
        ("README.md", "/orders", {"has_more": False}, "customer"),
        ("PACKAGE.md", "/api/items", {"next_page_url": None}, "name"),
    ],
)
def test_the_first_source_imports(name, path, last_page, field, tmp_path):
    pages = {path: {"data": [{"id": 1}, {"id": 2}], **last_page}}
    details = {f"{path}/{number}": {field: f"customer {number}"} for number in (1, 2)}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=(pages | details)[request.url.path]))
    done = rehearse(first_source(name), transport, tmp_path)
    assert done.failures == {}
    assert {key: row["customer"] for key, row in done.rows.items()} == {"1": "customer 1", "2": "customer 2"}
