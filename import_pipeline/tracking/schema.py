"""The tracking tables: created or migrated at first use, one process at a time."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from sqlalchemy import Column, Connection, Dialect, MetaData, PrimaryKeyConstraint, String, Table, inspect, select
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.exc import ProgrammingError

from import_pipeline.errors import DatabaseUnavailable, SchemaError
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking.database.dialect import schema_lock
from import_pipeline.tracking.database.driver_errors import first_line
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.retrying import Patience
from import_pipeline.tracking.lists import bookmarks as _bookmarks  # noqa: F401 - declares its table
from import_pipeline.tracking.lists import revisions as _revisions  # noqa: F401 - declares its table
from import_pipeline.tracking.lists import slice_table as _slice_table  # noqa: F401 - declares its table
from import_pipeline.tracking.tables import tracking_metadata

if TYPE_CHECKING:
    from alembic.config import Config

#: A name of its own: Dagster's storage has its `alembic_version` in the same database.
VERSION_TABLE = "import_pipeline_version"
#: The newest migration. Known here so that Alembic (half a second) is imported only if a migration is pending.
HEAD = "0012"

#: A transaction that creates tables is repeated: the database ends one whose process was starved for ten seconds.
CREATION_PATIENCE = Patience(seconds=30)

#: Before the first migration.
BASE = "base"

# Alembic's own declaration of that table.
_versions = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)

_up_to_date: WeakSet[Database] = WeakSet()
#: By dialect, the statements that create the tables.
_creations: dict[str, list[str]] = {}
# Alembic keeps the current migration in module globals.
_alembic_lock = threading.Lock()


def upgrade(database: Database) -> None:
    """Create the tables, or run the pending migrations; cheap if there are none.

    Raises SchemaError if the tables are of a newer version or cannot be created, and DatabaseUnavailable.
    """
    if database in _up_to_date:
        return
    with database.read() as connection:
        found = current(connection)
    if found is None:
        found = _create(database)
    if found != HEAD:
        migrate(database)
    _up_to_date.add(database)


def _create(database: Database) -> str:
    """Create the tables of the newest version, unless another process has created some; return their revision.

    The migrations would create the same ones, in twenty times the time.
    """

    def create(connection: Connection) -> str:
        schema_lock(connection)
        if (found := current(connection)) is None:
            _check_names(connection, database)
            for statement in _creation(connection.dialect):
                connection.exec_driver_sql(statement)
            _versions.create(connection, checkfirst=True)  # it stays after a downgrade to nothing
            connection.execute(_versions.insert().values(version_num=HEAD))
        return found or HEAD

    with refusals(database, "the tracking tables"):
        return database.transact(create, CREATION_PATIENCE)


def _creation(dialect: Dialect) -> list[str]:
    """Return the statements that create the tables: compiled once, since that takes longer than executing them."""
    if (known := _creations.get(dialect.name)) is not None:
        return known
    statements: list[str] = []
    collecting = MockConnection(dialect, lambda ddl, *_, **__: statements.append(str(ddl.compile(dialect=dialect))))
    tracking_metadata.create_all(collecting, checkfirst=False)
    _creations[dialect.name] = statements
    return statements


def migrate(database: Database) -> None:
    """Run all migrations that the tables lack."""
    with _migrating(database) as (connection, config):
        from alembic import command

        _check(connection, config, database)
        command.upgrade(config, "head")


def downgrade(database: Database, revision: str = "base") -> None:
    """Undo migrations down to a revision; data that only later ones can hold is lost.

    Raises SchemaError for an unknown revision or one that the database is not beyond, and while an import runs.
    """
    with _migrating(database) as (connection, config):
        from alembic import command

        _check(connection, config, database)
        _check_idle(connection)
        found, known = current(connection), revisions(config)
        at = known.index(found) if found else -1
        if revision != BASE and revision not in known[: at + 1]:
            raise SchemaError(
                f"the tracking tables cannot go back to {revision}: expected one of "
                f"{', '.join([BASE, *known[: at + 1]])}; they are at {found or 'nothing yet'}"
            )
        command.downgrade(config, revision)
    _up_to_date.discard(database)


def revisions(config: "Config") -> list[str]:
    """Return all revisions, the oldest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def current(connection: Connection) -> str | None:
    """Return the revision of the database; None before the first migration."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_versions.c.version_num)).scalar()


@contextmanager
def refusals(database: Database, what: str) -> Iterator[None]:
    """Raise SchemaError with a sentence if the database refuses to create tables."""
    try:
        yield
    except (DatabaseUnavailable, ProgrammingError) as error:
        cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
        if not isinstance(cause, ProgrammingError):
            raise
        raise SchemaError(
            f"{what} cannot be created in {address(database)}: {first_line(cause)}. "
            "Grant the database's user the right to create tables, run `import-pipeline migrate` as a user that has "
            "it, or name another database in DATABASE_URL"
        ) from error


def address(database: Database) -> str:
    """Return the database's URL without its password."""
    return database.url.render_as_string(hide_password=True)


@contextmanager
def _migrating(database: Database) -> Iterator[tuple[Connection, "Config"]]:
    with (
        _alembic_lock,
        quiet_alembic(),
        refusals(database, "the tracking tables"),
        database.migrate() as connection,
    ):
        schema_lock(connection)
        from alembic.config import Config

        config = Config()
        folder = str(Path(__file__).parent / "migrations")
        config.set_main_option("script_location", folder.replace("%", "%%"))
        config.attributes["connection"] = connection
        yield connection, config


def _check(connection: Connection, config: "Config", database: Database) -> None:
    found = current(connection)
    if found is not None and found not in revisions(config):
        raise SchemaError(
            f"the tracking tables in {address(database)} are of version {found}, created by a newer import_pipeline; "
            f"this one knows versions up to {HEAD}. Update import_pipeline, or name another database in DATABASE_URL"
        )
    if found is None:
        _check_names(connection, database)


def _check_names(connection: Connection, database: Database) -> None:
    strangers = sorted(set(inspect(connection).get_table_names()) & set(tracking_metadata.tables))
    if strangers:
        raise SchemaError(
            f"{address(database)} already has a table {strangers[0]} that import_pipeline did not create. "
            "Rename it, or name another database in DATABASE_URL"
        )


def _check_idle(connection: Connection) -> None:
    """Raise SchemaError while an import runs: its process relies on the current tables."""
    if current(connection) is None:
        return
    table = tracking_metadata.tables["imports"]
    running = connection.execute(
        select(table.c.id, table.c.source).where(table.c.status == ImportStatus.RUNNING).order_by(table.c.id)
    ).first()
    if running is not None:
        raise SchemaError(
            f"import {running.id} of {running.source} is running: cancel it or wait for its end, and stop Dagster, "
            "before you change its tables"
        )


@contextmanager
def quiet_alembic() -> Iterator[None]:
    """Hide Alembic's progress messages from people who run imports."""
    logger = logging.getLogger("alembic")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
