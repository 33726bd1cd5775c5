"""Check that the code stays easy to find and to read: sizes, folders and language. `make check` runs it.

A value above its ceiling fails. `--all` prints every measure, and where its worst places are.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("import_pipeline", "source_api")
#: Read for their language only: tests, benchmarks and scripts are sized by what they show.
OTHERS = ("import_pipeline_tests", "benchmarks", "scripts")
DOCUMENTS = ("README.md", "PACKAGE.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
#: Packages whose folders are rooms: few modules each.
WITH_ROOMS = ("import_pipeline/importer", "import_pipeline/ratelimit")

#: measure -> the highest value
CEILINGS = {
    "lines of a module": 300,
    "lines of a class": 180,
    "lines of a function": 40,
    "modules of a folder": 24,
    "modules of a room": 10,
    "docstrings that open with a relative clause": 10,
    "words of the old dialect": 20,
    "characters of a line of prose": 200,
    "words of the README": 1000,
}
RELATIVE_CLAUSE = re.compile(r"(What|Whether|How|Where|Which|Who|Whoever|Why|When|All that|As long as)\b")
#: Each has a plain word instead: reports, logs, request, no worker, another process, resumes, stalled, permanently.
DIALECT = re.compile(
    r"(tells?|told|wish(es|ed)?|nobody|somebody|whoever|vacancy|deserted|bury|buried|(gone|goes|go) on with|in vain"
    r"|for good)",
    re.IGNORECASE,
)


@dataclass
class Measure:
    """The values of one measure, each with its place."""

    name: str
    is_sum: bool = False  #: the values are added up; else the highest counts
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, value: int, place: str) -> None:
        """Record a value."""
        self.found.append((value, place))

    @property
    def value(self) -> int:
        """The sum, or the highest value."""
        values = [value for value, _ in self.found]
        return sum(values) if self.is_sum else max(values, default=0)

    def worst(self, number: int = 3) -> str:
        """The places with the highest values."""
        found = sorted(self.found, reverse=True)[:number]
        return ", ".join(f"{place} {value}" for value, place in found)


def measures() -> list[Measure]:
    """Measure the packages and the documents."""
    found = {name: Measure(name, is_sum=name.startswith(("docstrings", "words of the old"))) for name in CEILINGS}
    for path in _files(*PACKAGES, suffixes=(".py",)):
        text = path.read_text()
        tree = ast.parse(text)
        place = str(path.relative_to(ROOT))
        found["lines of a module"].add(len(text.splitlines()), place)
        found["docstrings that open with a relative clause"].add(_relative_clauses(tree), place)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found["lines of a class"].add(_lines(node), f"{place}:{node.lineno}")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found["lines of a function"].add(_lines(node), f"{place}:{node.lineno}")
    for path in _files(*OTHERS, suffixes=(".py",)):
        clauses = _relative_clauses(ast.parse(path.read_text()))
        found["docstrings that open with a relative clause"].add(clauses, str(path.relative_to(ROOT)))
    for path in _files(*PACKAGES, *OTHERS, suffixes=(".py", ".lua", ".html", ".txt")):
        if path == Path(__file__):  # has the list of those words
            continue
        found["words of the old dialect"].add(_dialect(path.read_text()), str(path.relative_to(ROOT)))
    for folder, number in _folders():
        in_rooms = any(folder == room or folder.startswith(f"{room}/") for room in WITH_ROOMS)
        found["modules of a room" if in_rooms else "modules of a folder"].add(number, folder)
    for path in _documents():
        for number, line in _prose(path.read_text()):
            found["characters of a line of prose"].add(len(line), f"{path.relative_to(ROOT)}:{number}")
    found["words of the README"].add(len((ROOT / "README.md").read_text().split()), "README.md")
    return list(found.values())


def _files(*folders: str, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The files of those folders; migrations are left out, they stay as they were written."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and "versions" not in path.parts:
                yield path


def _documents() -> Iterator[Path]:
    yield from (ROOT / name for name in DOCUMENTS if (ROOT / name).exists())
    yield from sorted((ROOT / "docs").rglob("*.md"))


def _folders() -> Iterator[tuple[str, int]]:
    """(folder, number of its modules)."""
    for package in PACKAGES:
        folders = {path.parent for path in _files(package, suffixes=(".py",))}
        for folder in sorted(folders):
            modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
            yield str(folder.relative_to(ROOT)), len(modules)


def _lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _relative_clauses(tree: ast.Module) -> int:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
    return sum(bool(RELATIVE_CLAUSE.match(each)) for each in docstrings)


def _dialect(text: str) -> int:
    """Count the words of the old dialect in the text, also as parts of names."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).replace("_", " ")
    return len(re.findall(rf"\b{DIALECT.pattern}\b", words, re.IGNORECASE))


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) of what is read as prose: no tables, no code, no pictures."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.lstrip().startswith(("|", "![", "<")):
            yield number, line


def report(found: Iterable[Measure], *, everything: bool) -> int:
    """Print what is above its ceiling, or everything; return the exit status."""
    status = 0
    for measure in found:
        ceiling = CEILINGS[measure.name]
        is_above = measure.value > ceiling
        status = max(status, int(is_above))
        if is_above or everything:
            verdict = "TOO HIGH " if is_above else ""
            print(f"{verdict}{measure.name}: {measure.value} (at most {ceiling}): {measure.worst()}")
    return status


if __name__ == "__main__":
    sys.exit(report(measures(), everything="--all" in sys.argv))
