"""A click group that imports the module of a command only when that command runs.

Importing all of them takes over a second, most of it SQLAlchemy; the list of commands needs none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import click

from import_pipeline.loading import ending_at_interrupts


@dataclass(frozen=True)
class Entry:
    """A command: its location in `import_pipeline.cli`, and its line in the list of commands."""

    place: str  #: `module:attribute`
    summary: str

    def load(self) -> click.Command:
        """Import and return the command."""
        module, _, attribute = self.place.partition(":")
        with ending_at_interrupts():
            loaded = import_module(f"import_pipeline.cli.{module}")
        command: click.Command = getattr(loaded, attribute)
        return command


class LazyGroup(click.Group):
    """A group that lists its entries in their order."""

    def __init__(self, entries: Mapping[str, Entry], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the entries."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command with this name, imported."""
        entry = self.entries.get(cmd_name)
        return None if entry is None else entry.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])
