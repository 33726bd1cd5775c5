"""`migrate --add-columns`: show what the tables of sources lack, ask, and add it."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from import_pipeline.cli.options import confirm
from import_pipeline.importer.installation import Installation
from import_pipeline.tracking.schema import address
from import_pipeline.tracking.user_rows.table_changes import Refused, apply, changes_of
from import_pipeline.wording import plural


@dataclass(frozen=True, kw_only=True)
class Followed:
    """The result: what was added, and what is left to a person."""

    added: tuple[str, ...]
    refused: tuple[Refused, ...]

    @property
    def is_blocked(self) -> bool:
        """True if imports need a difference to be resolved first."""
        return any(each.is_needed for each in self.refused)

    @property
    def sentence(self) -> str:
        """The number of statements, and what fills a new column."""
        if not self.added:
            return "Nothing was added."
        return (
            f"Executed {plural(len(self.added), 'statement')}. A new column is filled as items change; "
            "`import-pipeline run SOURCE --refetch` fills it for all."
        )


def follow_models(installation: Installation, *, is_confirmed: bool, is_quiet: bool) -> Followed:
    """Print the statements that add what is absent, ask, and execute them. Raises UsageError and SchemaError.

    `is_quiet`: the statements go to standard error, since standard output is for a program.
    """
    models = list(dict.fromkeys(source.model for source in installation.sources))
    with installation.database.read() as connection:
        changes = changes_of(connection, models)
    if not changes.statements:
        return Followed(added=(), refused=changes.refused)
    for statement in changes.statements:
        click.echo(f"{statement};", err=is_quiet)
    if not is_confirmed:
        count = "this statement" if len(changes.statements) == 1 else f"these {len(changes.statements)} statements"
        confirm(f"Execute {count} in {address(installation.database)}?")
    return Followed(added=apply(installation.database, models, changes.statements), refused=changes.refused)


def print_refused(refused: Sequence[Refused]) -> None:
    """Print what is left to a person: each reason, then the statements to run by hand, each once."""
    if not refused:
        return
    click.echo("Not changed, since rows could be lost or refused. To change it, run by hand:", err=True)
    for each in refused:
        click.echo(f"- {each.reason}", err=True)
    for statement in dict.fromkeys(statement for each in refused for statement in each.statements):
        click.echo(f"{statement};", err=True)
