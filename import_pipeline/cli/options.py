"""Asking a person before something is lost."""

import sys

import click

from import_pipeline.errors import UsageError

DECLINED = 4  #: the status of a command that was not carried out
#: What the commands that ask have in common.
yes = click.option("--yes", is_flag=True, help="Do not ask before something is lost.")


def ask(question: str) -> None:
    """Return after a yes. After a no the command ends and says so; UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can be asked here: say --yes")
    if not click.confirm(question, err=True):
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(DECLINED)
