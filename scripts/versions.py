"""Test the built package on each supported Python, with the lowest and with the newest versions of its dependencies.

    python scripts/versions.py [--python 3.12] [--resolution lowest] [--workers 4] [--list]

A cell is a Python and a resolution. Each has an environment of its own with the wheel and the group `test`. It runs the
tests of PARTS in a copy of the checkout without the packages, so that they import the installed ones. The classifiers
in pyproject.toml name the Pythons. A Python that this machine does not have is reported and skipped.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("import_pipeline", "source_api")
#: Direct dependencies at their lower bounds, or everything as new as the bounds allow.
RESOLUTIONS = {"lowest": "lowest-direct", "highest": "highest"}
TESTS = "import_pipeline_tests"
OWN_PROJECT = f"{TESTS}/acceptance/test_own_dagster_project.py"
#: Tests of a cell: rules and commands, the schema on both databases, Dagster's classes, and a user's whole project.
PARTS = (
    # These two test files of the checkout that no wheel has.
    (f"{TESTS}/unit", f"--ignore={TESTS}/unit/test_deploy.py", f"--ignore={TESTS}/unit/test_documents.py"),
    (f"{TESTS}/integration/tracking", f"{TESTS}/integration/defs"),
    ("-m", "nightly", f"{OWN_PROJECT}::test_an_empty_project_imports_by_following_the_document"),
)
PYTHON_CLASSIFIER = "Programming Language :: Python :: 3."
NO_UV = "This needs uv, which makes the environments: `python3 -m pip install uv`, or https://docs.astral.sh/uv/."
PRINT_PATH = "import {0}; print({0}.__file__)"


class Failed(Exception):
    """A step of a cell has failed; the text is its command and its output."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A Python and a resolution, with the interpreter to use."""

    version: str
    resolution: str
    interpreter: Path

    @property
    def name(self) -> str:
        return f"Python {self.version}, {self.resolution} versions"


def named_versions(project: Mapping[str, Any]) -> list[str]:
    """Return the Pythons of the package's classifiers, such as `3.11`."""
    return [
        classifier.rpartition(" ")[2]
        for classifier in project["classifiers"]
        if classifier.startswith(PYTHON_CLASSIFIER)
    ]


def candidates(version: str) -> Iterator[Path]:
    """Yield the interpreters that may be of that version; pyenv's own come first."""
    yield from sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    yield Path(sys.executable)
    search = ("uv", "python", "find", "--no-python-downloads", "--no-project", "--system", version)
    listed = subprocess.run(search, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        yield Path(listed.stdout.strip())


def is_of(candidate: Path, version: str) -> bool:
    """Return True if it starts and is of that version. A shim of pyenv may start and only report an error."""
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    done = subprocess.run((candidate, "-c", code), capture_output=True, text=True, check=False)
    return (done.returncode, done.stdout.strip()) == (0, version)


def interpreter(version: str) -> Path | None:
    """Return the first interpreter of that version; None without one."""
    return next((candidate for candidate in candidates(version) if is_of(candidate, version)), None)


def call(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a command in that folder, outside of this script's virtual environment; return its output. Raises Failed."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build the wheel in that folder; return its path."""
    call("uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT, folder=folder)
    return next(folder.glob("*.whl"))


def copy_without_packages(target: Path) -> Path:
    """Copy the files that the tests read, without the packages, which they import from the wheel."""
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".*", "__pycache__", *PACKAGES))
    return target


def install(cell: Cell, wheel: Path, tests: Path, environment: Path) -> Path:
    """Create the environment of a cell; return its interpreter."""
    call("uv", "venv", "--quiet", "--python", cell.interpreter, environment, folder=tests)
    python = environment / "bin" / "python"
    # lowest-direct applies only to the requirements named here, so pyproject.toml names the wheel's own again.
    requirements = (wheel, "-r", "pyproject.toml", "--extra", "celery", "--group", "test")
    resolution = ("--resolution", RESOLUTIONS[cell.resolution])
    call("uv", "pip", "install", "--quiet", "--python", python, *resolution, *requirements, folder=tests)
    return python


def run_tests(python: Path, tests: Path, workers: int) -> list[str]:
    """Run the tests; return the last line of each part. Raises Failed if a package is not the installed one."""
    for package in PACKAGES:
        found = Path(call(python, "-c", PRINT_PATH.format(package), folder=tests, PYTHONPATH=str(tests)).strip())
        if not found.is_relative_to(python.parents[1]):
            raise Failed(f"{package} was imported from {found}, not from the wheel in {python.parents[1]}.")
    shared = ("-q", "-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder")
    return [
        call(python, "-m", "pytest", *shared, *part, folder=tests, PYTHONPATH=str(tests)).splitlines()[-1]
        for part in PARTS
    ]


def run_cell(cell: Cell, wheel: Path, tests: Path, workers: int) -> list[str]:
    """Install and test in a temporary environment; return the last line of each part."""
    with tempfile.TemporaryDirectory(prefix="import-pipeline-cell-") as folder:
        return run_tests(install(cell, wheel, tests, Path(folder) / "environment"), tests, workers)


def run_cells(cells: Sequence[Cell], workers: int) -> int:
    """Test the cells one after another, and print each result; return the number of failed cells."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="import-pipeline-wheel-") as folder:
        # Both at once: later edits in the checkout must not reach tests of an older wheel.
        wheel, tests = build(Path(folder)), copy_without_packages(Path(folder) / "tests")
        for cell in cells:
            begun = time.monotonic()
            try:
                ended = "; ".join(run_cell(cell, wheel, tests, workers))
            except Failed as error:
                failed += 1
                ended = f"FAILED\n{error}"
            print(f"{cell.name} ({time.monotonic() - begun:.0f} s): {ended}", flush=True)
    return failed


def chosen_cells(versions: Sequence[str], resolutions: Sequence[str]) -> list[Cell]:
    """Return the cells whose interpreter is installed; print the Pythons that are not."""
    found = {version: interpreter(version) for version in versions}
    for version in (version for version, path in found.items() if path is None):
        print(f"Python {version}: left out, this machine has none; `uv python install {version}` brings it.")
    return [
        Cell(version=version, resolution=resolution, interpreter=path)
        for version, path in found.items()
        if path is not None
        for resolution in resolutions
    ]


def main() -> int:
    """Test the cells that the options name; return 0 if all have passed, else 1."""
    named = named_versions(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", choices=named, help="only this version (may be repeated)")
    parser.add_argument("--resolution", action="append", choices=list(RESOLUTIONS), help="only this one")
    parser.add_argument("--workers", type=int, default=4, help="tests at the same time (4)")
    parser.add_argument("--list", action="store_true", help="print the cells, run nothing")
    options = parser.parse_args()
    if shutil.which("uv") is None:
        print(NO_UV, file=sys.stderr)
        return 1
    cells = chosen_cells(options.python or named, options.resolution or list(RESOLUTIONS))
    if not cells:
        print("No Python that the package names was found.", file=sys.stderr)
        return 1
    if options.list:
        for cell in cells:
            print(f"{cell.name}: {cell.interpreter}")
        return 0
    return 1 if run_cells(cells, options.workers) else 0


if __name__ == "__main__":
    sys.exit(main())
