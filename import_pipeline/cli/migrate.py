"""`migrate`: create or change tables. No other command needs the right to."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from import_pipeline.cli.options import as_json, confirm, yes
from import_pipeline.cli.output.json import print_message
from import_pipeline.importer.installation import open_installation
from import_pipeline.settings import Settings, load_settings
from import_pipeline.tracking import schema
from import_pipeline.tracking.database.engine import Database

#: The exit status if a difference of model and table is left that imports need.
LEFT_BY_HAND = 3


@click.command()
@click.option("--to", "revision", help="Downgrade the tracking tables to this revision (base: drop them).")
@click.option("--add-columns", is_flag=True, help="Add what the tables of sources lack: columns, indexes, tables.")
@yes
@as_json
def migrate(revision: str | None, add_columns: bool, yes: bool, as_json: bool) -> int:
    """Create or update all tables: tracking, Dagster's, and missing tables of sources.

    Every command does so itself if its database user may. In production, run only this one as a user who may create
    tables, and the others as a user who may only read and write rows. --to undoes migrations before you install an
    older import_pipeline; data that only the newer tables can hold is lost.

    --add-columns makes the tables of sources follow their models: it prints the statements, asks, and executes them in
    one transaction. Nothing is removed or changed. Exits with status 3 if a difference is left that you must resolve.
    """
    settings = load_settings()
    if add_columns:
        if revision is not None:
            raise click.UsageError("--add-columns cannot be given together with --to")
        return _follow_models(settings, yes=yes, as_json=as_json)
    found: str | None
    if revision is None:
        sentence, found = _forward(settings)
    else:
        if not yes:
            confirm(f"Undo the migrations after {revision}, and lose the data that only they can hold?")
        sentence, found = _back(settings, revision)
    print_message(sentence, as_json, revision=found)
    return 0


def _follow_models(settings: Settings, *, yes: bool, as_json: bool) -> int:
    """Add what the tables of sources lack. Return the exit status."""
    from import_pipeline.cli.add_columns import follow_models, print_refused

    with open_installation(settings) as installation:
        done = follow_models(installation, is_confirmed=yes, is_quiet=as_json)
    if done.is_blocked:
        sentence, found = f"{done.sentence} Tables of sources do not fit their models yet.", schema.HEAD
    else:
        sentence, found = _forward(settings)
        sentence = f"{done.sentence} {sentence}"
    refused = [{"reason": each.reason, "statements": list(each.statements)} for each in done.refused]
    if not as_json:
        print_refused(done.refused)
    print_message(sentence, as_json, revision=found, added=list(done.added), refused=refused)
    return LEFT_BY_HAND if done.is_blocked else 0


def _forward(settings: Settings) -> tuple[str, str]:
    from import_pipeline.examples.application_items import ensure_tables

    _check_schema(settings)
    with open_installation(settings) as installation:
        for source in installation.sources:
            installation.source(source.name)  # creates its table
        ensure_tables(installation)
        where = schema.address(installation.database)
    from import_pipeline.defs.instance import open_instance

    with open_instance(settings) as instance:
        instance.get_runs_count()
    return f"All tables in {where} are up to date: tracking at {schema.HEAD}.", schema.HEAD


def _check_schema(settings: Settings) -> None:
    """Raise SchemaError if the name of Dagster's schema is taken, before anything is created."""
    if settings.is_postgres:
        from import_pipeline.defs.storage.postgres_schema import storage_location

        storage_location(settings, create=False)


def _back(settings: Settings, revision: str) -> tuple[str, str | None]:
    with _opened(settings) as database:
        schema.downgrade(database, revision)
        with database.read() as connection:
            found = schema.current(connection)
    sentence = (
        f"The tracking tables in {schema.address(database)} are at {found or 'no revision'}. Install the matching "
        "version of import_pipeline now: this one would upgrade them again at its first use."
    )
    return sentence, found


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    """Open the database without updating its tables."""
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.close()
