"""The Postgres schema of Dagster's tables: separate, since applications use the same table names.

Dagster's `alembic_version`, `runs`, `jobs`, `event_logs` and `kvs` collide easily: every application with Alembic has
the first. A foreign table is never read or written as Dagster's.
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
from import_pipeline.rules.database_errors import ErrorKind
from import_pipeline.settings import Settings
from import_pipeline.tracking.database.dialect import schema_lock
from import_pipeline.tracking.database.driver_errors import first_line, is_trouble, meaning_of, sentence

DEFAULT_SCHEMA = "import_pipeline_dagster"
#: Holds Dagster's revision. The only table whose name is common and whose columns do not identify it.
ALEMBIC = "alembic_version"
DAGSTER_TABLES = frozenset(
    {ALEMBIC}
    | RunStorageSqlMetadata.tables.keys()
    | SqlEventLogStorageMetadata.tables.keys()
    | ScheduleStorageSqlMetadata.tables.keys()
)
#: Columns that identify Dagster's tables. `FIRST_COLUMN` is created first; a complete start creates all of them.
FIRST_COLUMN, MARKER_COLUMNS = (
    ("runs", "run_body"),
    {("runs", "run_body"), ("event_logs", "dagster_event_type"), ("jobs", "job_body")},
)
ADVICE = "Name another schema in DAGSTER_SCHEMA, or unset it"


@dataclass(frozen=True, kw_only=True)
class StorageLocation:
    """The location of Dagster's tables: a database URL that selects the schema, and the schema's name."""

    url: str
    schema: str


def storage_location(settings: Settings, *, create: bool = True) -> StorageLocation:
    """Return the location of Dagster's tables. With `create`, create the schema if it is absent.

    Without DAGSTER_SCHEMA the schema is the one that already holds the tables, else a separate one. A connection pooler
    that refuses to select a schema gets its default. Raises DatabaseUnavailable, and SchemaError if foreign tables use
    the names.
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
    """Return True if Dagster's tables exist. Raises SchemaError and DatabaseUnavailable."""
    place = storage_location(settings, create=False)
    with _connected(make_url(settings.database_url)) as connection:
        return bool(_columns(connection, place.schema, [FIRST_COLUMN]))


def with_search_path(url: URL, schema: str) -> URL:
    """Return the URL with that schema as the only search path; other options are kept."""
    before = url.query.get("options") or os.environ.get("PGOPTIONS", "")  # options in the URL replace it
    given = " ".join(before) if isinstance(before, tuple) else before
    return url.update_query_dict({"options": f"{given} -csearch_path={schema}".strip()})


def _connected(url: URL) -> Connection:
    """Return a new connection in a transaction, which is rolled back unless committed."""
    return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": 10}).connect()


def _accepts_search_path(url: URL, schema: str) -> bool:
    """Return True if the server accepts the schema at the start of a session. Poolers refuse or ignore it."""
    try:
        with _connected(with_search_path(url, schema)) as connection:
            return bool(connection.scalar(text("SELECT current_setting('search_path')")) == schema)
    except OperationalError as error:
        if meaning_of(error) is ErrorKind.GONE and "startup parameter" in str(error.orig):
            return False
        raise


def _columns(connection: Connection, schema: str, wanted: Collection[tuple[str, str]]) -> int:
    """Return how many of the (table, column) pairs exist in the schema."""
    found = connection.execute(
        text(  # information_schema shows only what the role may read
            "SELECT pg_class.relname, pg_attribute.attname FROM pg_class "
            "JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname = :schema "
            "JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 WHERE relkind IN ('r', 'p')"
        ),
        {"schema": schema},
    )
    return len({(row.relname, row.attname) for row in found} & set(wanted))


def _refuse_foreign_tables(connection: Connection, url: URL, schema: str) -> None:
    """Raise SchemaError if the schema has tables with Dagster's names that Dagster did not create."""
    if _columns(connection, schema, [FIRST_COLUMN]):
        return
    there = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = :schema"), {"schema": schema})
    if strangers := sorted(DAGSTER_TABLES & set(there)):
        raise SchemaError(
            f"the schema {schema} in {_address(url)} already has a table {strangers[0]} that Dagster did not create. "
            f"{ADVICE}"
        )


def _create_schema(connection: Connection, url: URL, schema: str) -> None:
    """Create the schema if it is absent. Raises SchemaError if the role may neither create nor use it."""
    asked = text("SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = :schema")
    may_use = connection.scalar(asked, {"schema": schema})
    if may_use is None:
        schema_lock(connection)
        try:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            connection.commit()
        except ProgrammingError as error:
            raise SchemaError(
                f"the schema {schema} of Dagster's tables cannot be created in {_address(url)}: {first_line(error)}. "
                "Run `import-pipeline migrate` as a role that may create it, or name an existing one in DAGSTER_SCHEMA"
            ) from error
    elif not may_use:
        raise SchemaError(
            f"the role {url.username} may not use the schema {schema} of Dagster's tables in {_address(url)}. Grant "
            "the privilege as in deploy/postgres-roles.sql"
        )


def _pooler_error(url: URL, schema: str) -> str:
    return (
        f"the connection pooler at {_address(url)} does not let a client select the schema {schema} of DAGSTER_SCHEMA. "
        "Connect DATABASE_URL to Postgres itself, or name the role's own schema, such as public"
    )


def _address(url: URL) -> str:
    return url.render_as_string(hide_password=True)
