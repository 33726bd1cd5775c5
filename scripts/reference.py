"""Write what docs/ has from the code: `python scripts/reference.py`. A test compares both.

Of docs/settings.md and docs/commands.md only the part after the marker is written; the text before it is by hand. In
docs/adding-a-source.md each block after a comment that names a file gets the content of that file.
"""

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from import_pipeline.cli import COMMANDS, cli
from import_pipeline.settings import SETTINGS, SOURCE_SETTINGS, Setting

DOCS = Path(__file__).parents[1] / "docs"
MARKER = "<!-- written by scripts/reference.py -->"
COOKBOOK = "adding-a-source.md"
#: A comment that names a file, and the block of code after it.
RECIPE = re.compile(
    r"(?P<head><!-- (?P<file>import_pipeline/examples/\S+\.py) -->\n```python\n)(?P<code>.*?)```", re.DOTALL
)


def settings_reference() -> str:
    """Return both tables of settings: of the installation, and of the source `items`."""
    parts = ["## Of the installation", _settings_table(SETTINGS, "")]
    parts += ["## Of a source", _settings_table(SOURCE_SETTINGS, "ITEMS_")]
    return "\n\n".join(parts)


def _settings_table(settings: Iterable[Setting[Any]], prefix: str) -> str:
    rows = [f"| `{prefix}{each.name}` | {each.meaning} | {each.default} |" for each in settings]
    return "\n".join(["| setting | meaning | default |", "| --- | --- | --- |", *rows])


def commands_reference() -> str:
    """Return a section for each command: its usage, its help text and its options."""
    context = click.Context(cli, info_name="import-pipeline")
    overview = ["| command | |", "| --- | --- |"]
    overview += [f"| [`{name}`](#{name}) | {entry.summary} |" for name, entry in COMMANDS.items()]
    sections = [_command_section(name, context) for name in COMMANDS]
    return "\n\n".join(["## Overview", "\n".join(overview), *sections])


def _command_section(name: str, context: click.Context) -> str:
    command = cli.get_command(context, name)
    assert command is not None  # noqa: S101 - it is in the list
    arguments = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
    usage = " ".join(["import-pipeline", name, *arguments])
    paragraphs = [textwrap.fill(" ".join(each.split()), 120) for each in (command.help or "").split("\n\n")]
    options = [each for each in command.params if isinstance(each, click.Option)]
    parts = [f"## {name}", f"```console\n{usage}\n```", *paragraphs]
    if options:
        rows = [f"| `{'`, `'.join(each.opts)}`{_value(each, context)} | {each.help} |" for each in options]
        parts.append("\n".join(["| option | |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)


def _value(option: click.Option, context: click.Context) -> str:
    """Return the values of an option, and its default if it has one."""
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return " one of " + ", ".join(f"`{each}`" for each in option.type.choices)
    default = f", default {option.default}" if isinstance(option.default, int | str) else ""
    return f" {option.type.name.split()[0].upper()}{default}"


def cookbook(text: str) -> str:
    """Return the page with the content of the files that it names."""
    return RECIPE.sub(lambda found: f"{found['head']}{(DOCS.parent / found['file']).read_text()}```", text)


def write(name: str, text: str) -> None:
    """Replace the part after the page's marker."""
    path = DOCS / name
    path.write_text(f"{path.read_text().partition(MARKER)[0]}{MARKER}\n\n{text}\n")


if __name__ == "__main__":
    write("settings.md", settings_reference())
    write("commands.md", commands_reference())
    (DOCS / COOKBOOK).write_text(cookbook((DOCS / COOKBOOK).read_text()))
