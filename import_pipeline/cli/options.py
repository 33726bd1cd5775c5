"""The options and arguments that several commands share."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from import_pipeline.errors import UsageError

if TYPE_CHECKING:
    IntParameter = click.ParamType[int]
else:  # click declares the type of a parameter's value since 8.4
    IntParameter = click.ParamType

Command = TypeVar("Command", bound=Callable[..., Any])
DECLINED = 4  #: the exit status of a command whose question was answered with no


class ImportId(IntParameter):
    """The id of an import: a whole number from 1. The command itself checks that the import exists."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Fail with a sentence of ours: click's own names a type instead of an import."""
        text = str(value)
        if not (text.isascii() and text.isdecimal() and text.strip("0")):
            self.fail(f"expected the id of an import, as `import-pipeline list` shows it, got {text!r}", param, ctx)
        return int(text[:40])


def _complete_source(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of sources that begin so; none if the settings cannot be read."""
    from import_pipeline.importer.source_loader import load_sources
    from import_pipeline.settings import load_settings

    try:
        return sorted(each.name for each in load_sources(load_settings()) if each.name.startswith(incomplete))
    except Exception:  # noqa: BLE001 - a user's module may raise anything, and a shell expects names only
        return []


def source_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """Return the decorator of the argument SOURCE. The shell completes it with the names of the listed sources."""
    return click.argument("source", required=required, shell_complete=_complete_source)


import_id = click.argument("import_id", type=ImportId(), metavar="ID")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
full = click.option("--full", is_flag=True, help="Read the whole list, although there is a bookmark.")
fresh = click.option("--fresh", is_flag=True, help="Fetch everything again, then delete rows no longer in the list.")
refetch = click.option("--refetch", is_flag=True, help="Fetch everything again, unchanged items too. Delete nothing.")
yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
reason = click.option("--reason", help="Why; recorded with the request.")


def confirm(question: str) -> None:
    """Return if the user answers yes. Any other answer ends the command with `DECLINED`.

    Raises UsageError if standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{question} No terminal is attached: confirm with --yes")
    if not click.confirm(question, err=True):
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(DECLINED)
