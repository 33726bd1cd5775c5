"""The tracking tables' migrations. They run by themselves at first use, under a lock.

The version table has a name of its own: Dagster's storage keeps its `alembic_version` in the same database.
"""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from import_pipeline.errors import SchemaError
from import_pipeline.tracking.database import Database
from import_pipeline.tracking.locks import schema_lock

VERSION_TABLE = "import_pipeline_version"


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the tables up to date; one query where they are. Raises SchemaError and DatabaseUnavailable."""
    with database.read() as connection:
        found = current(connection)
    if found == _scripts().get_current_head() and revision == "head":
        return
    with database.write() as connection:
        schema_lock(connection)
        _check_known(current(connection))
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Go back to a revision, `base` for none; what later revisions have added is lost."""
    with database.write() as connection:
        schema_lock(connection)
        command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision of the tables in this database; None where there are none yet."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _check_known(found: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise SchemaError(
            f"the tracking tables have revision {found}, which this version of import_pipeline does not know: "
            "expected one of its own; install the newer version that has made them"
        )


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
