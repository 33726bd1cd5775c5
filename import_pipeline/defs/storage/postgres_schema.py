"""The schema of Dagster's tables on Postgres: one of their own, since their names are those that applications like.

`alembic_version`, `runs`, `jobs`, `event_logs`, `kvs`: whoever uses Alembic has the first one. Nothing of
anybody else is read as Dagster's, or written.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass

from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from import_pipeline.errors import DatabaseUnavailable, SchemaError
from import_pipeline.rules.database_errors import Meaning
from import_pipeline.settings import Settings
from import_pipeline.tracking.database.driver_errors import in_words, is_trouble, meaning_of, sentence
from import_pipeline.tracking.database.locks import schema_lock

DEFAULT_SCHEMA = "import_pipeline_dagster"
#: Where Dagster's storage keeps its revision; the only table of its that has a common name and no columns of its own.
ALEMBIC = "alembic_version"
DAGSTER_TABLES = frozenset(
    {ALEMBIC}
    | RunStorageSqlMetadata.tables.keys()
    | SqlEventLogStorageMetadata.tables.keys()
    | ScheduleStorageSqlMetadata.tables.keys()
)
#: Columns that nobody else's tables of these names have. The first is made first, and all of them by a first start.
FIRST_COLUMN, MARKER_COLUMNS = (
    ("runs", "run_body"),
    {("runs", "run_body"), ("event_logs", "dagster_event_type"), ("jobs", "job_body")},
)
ADVICE = "Name another schema in DAGSTER_SCHEMA, or leave it out"


@dataclass(frozen=True, kw_only=True)
class StorageLocation:
    """The place of Dagster's tables: the address that leads there, and the schema's name for people."""

    url: str
    schema: str


def storage_location(settings: Settings, *, create: bool = True) -> StorageLocation:
    """The place of Dagster's tables, the schema made where it is absent and `create` is given.

    Without DAGSTER_SCHEMA that is the schema where they have been all along, else one of their own; where a connection
    pooler lets no schema be chosen, the one that it gives. Raises SchemaError for a schema with tables of the same
    names that are not Dagster's, and DatabaseUnavailable.
    """
    url = make_url(settings.database_url)
    try:
        with _connected(url) as connection:
            default = connection.scalar(text("SELECT current_schema()")) or "public"
            wanted = settings.dagster_schema
            if wanted is None and _columns(connection, default, MARKER_COLUMNS) < len(MARKER_COLUMNS):
                wanted = DEFAULT_SCHEMA
            wanted = wanted or default
            if wanted != default and not _accepts_search_path(url, wanted):
                if settings.dagster_schema is not None:
                    raise SchemaError(_pooler_error(url, wanted))
                wanted = default
            _refuse_foreign_tables(connection, url, wanted)
            if create:
                _create_schema(connection, url, wanted)
    except DBAPIError as error:
        meaning = meaning_of(error)
        if not is_trouble(meaning):
            raise
        raise DatabaseUnavailable(sentence(url, error, meaning), may_pass=meaning.may_pass, meaning=meaning) from error
    chosen = url if wanted == default else with_search_path(url, wanted)
    return StorageLocation(url=chosen.render_as_string(hide_password=False), schema=wanted)


def has_tables(settings: Settings) -> bool:
    """Return if Dagster's tables are there. Raises SchemaError and DatabaseUnavailable."""
    place = storage_location(settings, create=False)
    with _connected(make_url(settings.database_url)) as connection:
        return bool(_columns(connection, place.schema, [FIRST_COLUMN]))


def with_search_path(url: URL, schema: str) -> URL:
    """The address with that schema as the only one that is looked into, its other options kept."""
    before = url.query.get("options") or os.environ.get("PGOPTIONS", "")  # which libpq would pass over now
    given = " ".join(before) if isinstance(before, tuple) else before
    return url.update_query_dict({"options": f"{given} -csearch_path={schema}".strip()})


def _connected(url: URL) -> Connection:
    """A connection of its own, in a transaction that is rolled back unless it is committed."""
    return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": 10}).connect()


def _accepts_search_path(url: URL, schema: str) -> bool:
    """Return if the server takes the schema at the start of a session; poolers refuse or ignore it."""
    try:
        with _connected(with_search_path(url, schema)) as connection:
            return bool(connection.scalar(text("SELECT current_setting('search_path')")) == schema)
    except OperationalError as error:
        if meaning_of(error) is Meaning.GONE and "startup parameter" in str(error.orig):
            return False
        raise


def _columns(connection: Connection, schema: str, wanted: Collection[tuple[str, str]]) -> int:
    """Count those (table, column) pairs that the schema has."""
    found = connection.execute(
        text(  # not information_schema, which shows only what the role may read
            "SELECT pg_class.relname, pg_attribute.attname FROM pg_class "
            "JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname = :schema "
            "JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 WHERE relkind IN ('r', 'p')"
        ),
        {"schema": schema},
    )
    return len({(row.relname, row.attname) for row in found} & set(wanted))


def _refuse_foreign_tables(connection: Connection, url: URL, schema: str) -> None:
    """Raise SchemaError for tables of Dagster's names in a schema where Dagster has none."""
    if _columns(connection, schema, [FIRST_COLUMN]):
        return
    there = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = :schema"), {"schema": schema})
    if strangers := sorted(DAGSTER_TABLES & set(there)):
        raise SchemaError(
            f"the schema {schema} in {_address(url)} has a table {strangers[0]} already that Dagster did not make. "
            f"{ADVICE}"
        )


def _create_schema(connection: Connection, url: URL, schema: str) -> None:
    """Make the schema where it is absent. Without the right to do so one that is there will do."""
    asked = text("SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = :schema")
    may_use = connection.scalar(asked, {"schema": schema})
    if may_use is None:
        schema_lock(connection)
        try:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            connection.commit()
        except ProgrammingError as error:
            raise SchemaError(
                f"the schema {schema} of Dagster's tables cannot be made in {_address(url)}: {in_words(error)}. Let a "
                "role that may make it run `import-pipeline migrate`, or name a schema that is there in DAGSTER_SCHEMA"
            ) from error
    elif not may_use:
        raise SchemaError(
            f"the role {url.username} may not use the schema {schema} of Dagster's tables in {_address(url)}. Grant "
            "it: deploy/postgres-roles.sql shows how"
        )


def _pooler_error(url: URL, schema: str) -> str:
    return (
        f"the connection pooler at {_address(url)} lets no schema be chosen, and DAGSTER_SCHEMA names {schema}. Let "
        "DATABASE_URL lead to Postgres itself, or name the role's own schema, such as public"
    )


def _address(url: URL) -> str:
    return url.render_as_string(hide_password=True)
