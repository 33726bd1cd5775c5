"""The list of commands costs no more than a list."""

import subprocess
import sys

import click
import pytest

from import_pipeline.cli import COMMANDS, cli
from import_pipeline.cli.lazy import Entry

HEAVY = ("sqlalchemy", "dagster", "httpx", "aiohttp", "starlette", "rich")


@pytest.mark.parametrize(("name", "entry"), COMMANDS.items())
def test_every_entry_is_the_command_of_its_name(name: str, entry: Entry) -> None:
    command = entry.load()
    assert isinstance(command, click.Command)
    assert (command.name, entry.summary[-1], len(entry.summary) <= 60) == (name, ".", True)


def test_help_loads_no_command() -> None:
    """A child process runs it, since this one has loaded every command."""
    program = (
        "import sys\nfrom import_pipeline.cli import cli\ncli.main(['--help'], standalone_mode=False)\n"
        f"print('LOADED', sorted({HEAVY!r} & sys.modules.keys()))"
    ).replace(f"{HEAVY!r} &", f"set({HEAVY!r}) &")
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "LOADED []"
    assert [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()[:-1]] == list(COMMANDS)


def test_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(click.UsageError, match="No such command 'improt'"):
        cli.main(["improt"], standalone_mode=False)
