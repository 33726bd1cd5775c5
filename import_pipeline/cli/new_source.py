"""`new-source`: write the file of a new source, and a test that passes unchanged."""

import importlib.util
import keyword
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

import click

from import_pipeline.cli.options import as_json
from import_pipeline.cli.output.json import print_json
from import_pipeline.errors import UsageError
from import_pipeline.settings import SETTINGS, SOURCE_SETTINGS, variable_prefix

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")


@click.command("new-source")
@click.argument("name")
@click.option("--yaml", "is_declared", is_flag=True, help="Write NAME.yaml, a declared source, instead of NAME.py.")
@as_json
def new_source(name: str, is_declared: bool, as_json: bool) -> None:
    """Write NAME.py, a source to adapt to your API, and test_NAME.py into the current folder.

    Existing files are never overwritten. The test passes unchanged.
    """
    written = write_source(name, Path.cwd(), is_declared=is_declared)
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    click.echo(f"Wrote {' and '.join(path.name for path in written)}. Adapt them to your API, then run:")
    click.echo(f"  pytest {written[1].name}{pytest_hint(Path(__file__).parents[2])}")
    click.echo(f"  export IMPORT_PIPELINE_SOURCES={written[0].name if is_declared else f'{name}:SOURCES'}")
    click.echo(f"  import-pipeline doctor && import-pipeline run {name}")


def pytest_hint(root: Path, *, is_installed: bool | None = None) -> str:
    """Return how to install pytest, as the end of a command's line; an empty text if it is installed.

    `root`: the folder that holds this package; that of a clone has a Makefile.
    """
    if importlib.util.find_spec("pytest") is not None if is_installed is None else is_installed:
        return ""
    is_clone = (root / "Makefile").is_file() and (root / "pyproject.toml").is_file()
    return f"  # install pytest first: {f'make -C {root} install' if is_clone else 'pip install pytest'}"


def write_source(name: str, folder: Path, *, is_declared: bool = False) -> tuple[Path, Path]:
    """Write both files and return their paths. Raises UsageError for a bad name or existing files."""
    source, test = folder / f"{name}.{'yaml' if is_declared else 'py'}", folder / f"test_{name}.py"
    _check_name(name)
    for path in (source, test):
        if path.exists():
            raise UsageError(f"{path.name} exists already and is not overwritten: choose another name or folder")
    _check_place(name)
    title = "".join(part.capitalize() for part in name.split("_"))
    values = {"name": name, "title": title, "prefix": variable_prefix(name)}
    if is_declared:
        from import_pipeline.declarative.starter import starter

        _write(source, starter(name, "https://api.example.com"))
        _write(test, _filled("test_declared.txt", values))
    else:
        _write(source, _filled("source.txt", values))
        _write(test, _filled("test_source.txt", values))
    return source, test


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = resources.files("import_pipeline.cli").joinpath("templates", template).read_text("utf-8")
    return Template(text).substitute(values)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r}: expected at most 50 lowercase letters, digits and underscores, such as orders")
    if keyword.iskeyword(name):
        raise UsageError(f"{name} is a Python keyword: choose another name, such as {name}_source")
    ours = {setting.name for setting in SETTINGS}
    for setting in SOURCE_SETTINGS:
        if (variable := variable_prefix(name) + setting.name) in ours:
            raise UsageError(f"{name}: its setting {variable} already means something else; choose another name")


def _check_place(name: str) -> None:
    """Raise UsageError if the file would hide an installed module."""
    if importlib.util.find_spec(name) is not None:
        raise UsageError(f"{name}: an installed module has this name; choose another one, such as {name}_source")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
