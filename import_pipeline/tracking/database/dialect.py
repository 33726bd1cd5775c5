"""What SQLite and Postgres both know and SQLAlchemy's common language does not."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(connection: Connection, table: Any) -> Any:
    """The INSERT of the connection's dialect, which knows ON CONFLICT."""
    return insert_for(connection.dialect.name, table)


def insert_for(dialect: str, table: Any) -> Any:
    """The same by the dialect's name, for statements that are kept."""
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)
