"""The user's own tables: created where they are absent, checked where they are there, never altered."""

from typing import Any

from sqlalchemy import Connection, Table, inspect

from import_pipeline.errors import SchemaError
from import_pipeline.tracking.database import Database
from import_pipeline.tracking.locks import schema_lock
from import_pipeline.tracking.tables import tracking_metadata


def ensure_table(database: Database, model: type[Any]) -> None:
    """Create the model's table if there is none; raise SchemaError where the one there is does not fit."""
    table: Table = model.__table__
    if table.name in tracking_metadata.tables:
        raise SchemaError(f"{model.__name__}: the table name {table.name} belongs to the tracking; choose another one")
    with database.write() as connection:
        schema_lock(connection)
        if not inspect(connection).has_table(table.name, schema=table.schema):
            table.metadata.create_all(connection, tables=[table, *_referred_to(table)])
        problem = _misfit(connection, table)
    if problem:
        raise SchemaError(f"{model.__name__}: {problem}. Tables that exist are never altered: migrate it yourself")


def _referred_to(table: Table) -> list[Table]:
    """Tables that the model's foreign keys need."""
    return [key.column.table for key in table.foreign_keys]


def _misfit(connection: Connection, table: Table) -> str | None:
    inspector = inspect(connection)
    there = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
    missing = [column.name for column in table.columns if column.name not in there]
    if missing:
        return f"the table {table.name} has no column {', '.join(missing)}"
    unique: list[list[str | None]] = [
        [*each["column_names"]] for each in inspector.get_unique_constraints(table.name, schema=table.schema)
    ]
    unique += [
        [*each["column_names"]] for each in inspector.get_indexes(table.name, schema=table.schema) if each["unique"]
    ]
    unique.append([*inspector.get_pk_constraint(table.name, schema=table.schema)["constrained_columns"]])
    if ["external_id"] not in unique:
        return f"external_id of the table {table.name} is not unique: expected a unique constraint or index on it alone"
    return None
