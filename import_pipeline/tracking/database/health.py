"""What is wrong with a tracking database, before it shows: asked of the server itself."""

from sqlalchemy import Connection, text

from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.tables import tracking_metadata

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def server_seconds(database: Database) -> float | None:
    """The server's clock, since 1970; None for SQLite, which has none of its own. Raises DatabaseUnavailable."""
    if database.is_sqlite:
        return None
    with database.read() as connection:
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def missing_rights(database: Database) -> list[str]:
    """`UPDATE on imports`: what the role lacks on Postgres to work with the tracking tables' rows."""
    if database.is_sqlite:
        return []
    with database.read() as connection:
        return [
            f"{right} on {table}"
            for table in tracking_metadata.tables
            for right in RIGHTS
            if not _may(connection, table, right)
        ]


def _may(connection: Connection, table: str, right: str) -> bool:
    asked = text("SELECT has_table_privilege(:table, :right)")
    return bool(connection.execute(asked, {"table": table, "right": right}).scalar_one())


def is_superuser(database: Database) -> bool:
    """Whether the role may do everything on its server."""
    if database.is_sqlite:
        return False
    with database.read() as connection:
        asked = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(connection.execute(asked).scalar_one())


def is_writable(database: Database) -> bool:
    """Whether transactions may write: a standby, or default_transaction_read_only, lets none."""
    if database.is_sqlite:
        return True
    with database.read() as connection:
        return str(connection.execute(text("SHOW transaction_read_only")).scalar_one()) == "off"
