"""The user's own tables: created if absent, checked if present."""

from typing import Any

from sqlalchemy import Connection, DateTime, Inspector, Table, inspect

from import_pipeline.contracts.importable import has_tenants
from import_pipeline.errors import SchemaError
from import_pipeline.tracking.database.dialect import schema_lock
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import CREATION_PATIENCE, VERSION_TABLE, refusals
from import_pipeline.tracking.tables import tracking_metadata
from import_pipeline.tracking.user_rows.model_columns import table_of
from import_pipeline.tracking.user_rows.model_tables import needed_tables, own_tables


def ensure_table(database: Database, model: type[Any], *, is_rehearsal: bool = False) -> None:
    """Create the model's table, those of its related rows, and those that their foreign keys need, if one is absent.

    If they exist, nothing is written, not even a lock. Raises SchemaError, see `check_table`.
    """
    if check_table(database, model, is_rehearsal=is_rehearsal):
        return
    table, related = table_of(model), own_tables([model])[1:]

    def create(connection: Connection) -> None:
        schema_lock(connection)
        for each in (table, *related):
            table.metadata.create_all(connection, tables=list(needed_tables(each)))
        # Checked again: another process may have created it, and the class may lack the unique constraint.
        _check_fit(inspect(connection), model)

    with refusals(database, f"{model.__name__}: the table {table.fullname}"):
        database.transact(create, CREATION_PATIENCE)


def check_table(database: Database, model: type[Any], *, is_rehearsal: bool = False) -> bool:
    """Return True if the model's table and those of its related rows exist. Nothing is written.

    Raises SchemaError if one does not fit the model, or if SQLite cannot keep its values; `is_rehearsal`: a file for a
    test stands for the real database, which may keep them.
    """
    table, related = table_of(model), own_tables([model])[1:]
    with database.read() as connection:
        _check_name(connection, model)
        if connection.dialect.name == "sqlite" and not is_rehearsal:
            _check_times(model)
        inspector = inspect(connection)
        is_there = inspector.has_table(table.name, schema=table.schema)
        if is_there:
            _check_fit(inspector, model)
        there = [each for each in related if inspector.has_table(each.name, schema=each.schema)]
        for each in there:
            _check_columns(inspector, model, each)
    return is_there and len(there) == len(related)


def _check_name(connection: Connection, model: type[Any]) -> None:
    table = table_of(model)
    inspector = inspect(connection)
    ours = {VERSION_TABLE, *tracking_metadata.tables}
    if table.name in ours and table.schema in {None, inspector.default_schema_name}:
        raise SchemaError(
            f"{model.__name__}: the table name {table.name} belongs to the tracking tables; "
            f"expected another {_words_of(model)[1]}"
        )
    if table.schema is not None and table.schema not in inspector.get_schema_names():
        raise SchemaError(
            f"{model.__name__}: the schema {table.schema} of its table is not in the tracking database. "
            "The table must be in the same database: create the schema there, or leave it out"
        )


def _check_times(model: type[Any]) -> None:
    """Raise SchemaError for a time with a zone, which SQLite would return without it."""
    for column in table_of(model).columns:
        if isinstance(column.type, DateTime) and column.type.timezone:
            raise SchemaError(
                f"{model.__name__}: the column {column.name} is DateTime(timezone=True), and SQLite stores no time "
                "zone: its values would be read back without one. Use the type UtcDateTime of import_pipeline, which "
                "needs no change of the table"
            )


def _check_fit(inspector: Inspector, model: type[Any]) -> None:
    table = table_of(model)
    _check_columns(inspector, model, table)
    unique = unique_columns(inspector, table)
    if has_tenants(model):
        _check_tenants(unique, model, table)
    elif ["external_id"] not in unique:
        raise SchemaError(
            f"{model.__name__}: the table {table.fullname} allows duplicate external_ids; expected a unique "
            "constraint or index on that column alone. Declare it with unique=True, and migrate an existing table"
        )


def _check_tenants(unique: list[list[str]], model: type[Any], table: Table) -> None:
    """Raise SchemaError unless each tenant may have each id once."""
    if not any(set(names) == {"tenant", "external_id"} for names in unique):
        raise SchemaError(
            f"{model.__name__}: the table {table.fullname} allows duplicate external_ids of a tenant; expected "
            'UniqueConstraint("tenant", "external_id") in its __table_args__, and in an existing table'
        )
    if ["external_id"] in unique:
        raise SchemaError(
            f"{model.__name__}: the table {table.fullname} allows each external_id only once, and two tenants may have "
            "the same: drop the unique constraint or index on external_id alone"
        )


def _check_columns(inspector: Inspector, model: type[Any], table: Table) -> None:
    there = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
    missing = [column.name for column in table.columns if column.name not in there]
    if missing:
        owner, name = _words_of(model)
        raise SchemaError(
            f"{model.__name__}: the table {table.fullname} has no column {', '.join(missing)}. "
            "`import-pipeline migrate --add-columns` shows the statements that add what can be added, and runs them. "
            f"Or give {owner} another {name}"
        )


def _words_of(model: type[Any]) -> tuple[str, str]:
    """Return what names the table, and by what: a class by its attribute, or a declaration by its key."""
    return ("the source", "`table`") if hasattr(model, "hook_words") else ("the class", "__tablename__")


def unique_columns(inspector: Inspector, table: Table) -> list[list[str]]:
    """Return the columns of each unique constraint and index. A partial index is left out: it covers only some rows."""
    name, schema = table.name, table.schema
    found = [[*each["column_names"]] for each in inspector.get_unique_constraints(name, schema=schema)]
    # SQLAlchemy overlooks UNIQUE behind a type with a length on SQLite; the index that the database made for it counts.
    for index in inspector.get_indexes(name, schema=schema, include_auto_indexes=True):
        is_partial = any(option.endswith("_where") for option in index.get("dialect_options", {}))
        columns = [column for column in index["column_names"] if column is not None]
        if index["unique"] and not is_partial and len(columns) == len(index["column_names"]):
            found.append(columns)
    found.append([*inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]])
    return found
