"""Asking a person before something is lost."""

import sys

import click

#: What the commands that ask have in common.
yes = click.option("--yes", is_flag=True, help="Do not ask before something is lost.")


def ask(question: str) -> None:
    """Return after a yes. Raises click.UsageError where nobody can be asked, click.Abort after anything else."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: say --yes")
    click.confirm(question, abort=True, err=True)
