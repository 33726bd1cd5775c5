"""The end of both commands: errors as one sentence, and their exit status."""

import sys
from typing import NoReturn

import click

from source_api.errors import BadOption


def run_command(command: click.Command, name: str, arguments: list[str] | None) -> NoReturn:
    """Run the command and exit. An error prints one sentence that begins with `name`, and exits with status 2."""
    try:
        sys.exit(command(arguments, standalone_mode=False))
    except click.ClickException as error:
        click.echo(f"{name}: {error.format_message()}", err=True)
    except BadOption as error:
        click.echo(f"{name}: {error}", err=True)
    except click.Abort:  # Ctrl-C before the server listens
        sys.exit(130)
    sys.exit(2)
