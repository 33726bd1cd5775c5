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


@click.command()
@click.option("--to", "revision", help="Downgrade the tracking tables to this revision (base: drop them).")
@yes
@as_json
def migrate(revision: str | None, yes: bool, as_json: bool) -> None:
    """Create or update all tables: tracking, Dagster's, and missing tables of sources.

    Every command does so itself if its database user may. In production, run only this one as a user who may create
    tables, and the others as a user who may only read and write rows. --to undoes migrations before you install an
    older import_pipeline; data that only the newer tables can hold is lost.
    """
    settings = load_settings()
    if revision is None:
        sentence, found = _forward(settings)
    else:
        if not yes:
            confirm(f"Undo the migrations after {revision}, and lose the data that only they can hold?")
        sentence, found = _back(settings, revision)
    print_message(sentence, as_json, revision=found)


def _forward(settings: Settings) -> tuple[str, str | None]:
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
