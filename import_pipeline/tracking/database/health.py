"""Checks of a tracking database for `doctor`, by queries to the server."""

from sqlalchemy import Connection, text

from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.tables import tracking_metadata

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def server_seconds(database: Database) -> float | None:
    """Return the server's clock in seconds since 1970; None for SQLite. Raises DatabaseUnavailable."""
    if database.is_sqlite:
        return None
    with database.read() as connection:
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def missing_rights(database: Database) -> list[str]:
    """Return the rights on tracking tables that the role lacks on Postgres, such as `UPDATE on imports`."""
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
    query = text("SELECT has_table_privilege(:table, :right)")
    return bool(connection.execute(query, {"table": table, "right": right}).scalar_one())


def is_superuser(database: Database) -> bool:
    """Return True if the role is a superuser of its server."""
    if database.is_sqlite:
        return False
    with database.read() as connection:
        query = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(connection.execute(query).scalar_one())


def is_writable(database: Database) -> bool:
    """Return True if transactions may write: not on a standby, nor with default_transaction_read_only."""
    if database.is_sqlite:
        return True
    with database.read() as connection:
        return str(connection.execute(text("SHOW transaction_read_only")).scalar_one()) == "off"
