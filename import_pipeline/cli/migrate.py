"""`migrate`: everything that needs the right to make or change tables, so that nothing else needs it."""

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
@click.option("--to", "revision", help="Go back to that revision of the tracking tables (base: drop them).")
@yes
@as_json
def migrate(revision: str | None, yes: bool, as_json: bool) -> None:
    """Make or update all tables: tracking, the sources' own where they are absent, Dagster's.

    Every command does so by itself where its database user may. Run this as one who may, and the rest as one who may
    only read and write rows. With --to, before an older import_pipeline is installed again, this one undoes what it
    changed; what only the newer tables can hold is lost.
    """
    settings = load_settings()
    if revision is None:
        sentence, found = _forward(settings)
    else:
        if not yes:
            confirm(f"Undo the migrations after {revision}, with what only they can hold?")
        sentence, found = _back(settings, revision)
    print_message(sentence, as_json, revision=found)


def _forward(settings: Settings) -> tuple[str, str | None]:
    from import_pipeline.examples.application_items import ensure_tables

    _check_schema(settings)
    with open_installation(settings) as installation:
        for source in installation.sources:
            installation.source(source.name)  # makes its table
        ensure_tables(installation)
        where = schema.address(installation.database)
    from import_pipeline.defs.instance import open_instance

    with open_instance(settings) as instance:
        instance.get_runs_count()
    return f"All tables in {where} are up to date: tracking at {schema.HEAD}.", schema.HEAD


def _check_schema(settings: Settings) -> None:
    """Before anything is made: a name that is taken leaves the database as it was. Raises SchemaError."""
    if settings.is_postgres:
        from import_pipeline.defs.storage.postgres_schema import storage_location

        storage_location(settings, create=False)


def _back(settings: Settings, revision: str) -> tuple[str, str | None]:
    with _opened(settings) as database:
        schema.downgrade(database, revision)
        with database.read() as connection:
            found = schema.current(connection)
    sentence = (
        f"The tracking tables in {schema.address(database)} are back at {found or 'nothing'}. Install the version of "
        "import_pipeline that belongs to them now: this one brings them forward again at its first use."
    )
    return sentence, found


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    """The database as it is, nothing brought up to date."""
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.close()
