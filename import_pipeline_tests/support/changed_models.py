"""Models that were changed after their table `things` was made, and what the table gets of it."""

from sqlalchemy import Column, Integer, MetaData, String, Table, inspect, text
from sqlalchemy.orm import registry

from import_pipeline.tracking.user_rows.table_changes import apply, changes_of

#: The table as an earlier version of the model made it.
OLD = {
    "sqlite": "CREATE TABLE things (id INTEGER NOT NULL PRIMARY KEY, external_id VARCHAR(255) NOT NULL UNIQUE)",
    "postgresql": "CREATE TABLE things (id SERIAL PRIMARY KEY, external_id VARCHAR(255) NOT NULL UNIQUE)",
}


def model(*more, metadata=None, name="things", schema=None, properties=None):
    """A user's mapped class with these columns, indexes and constraints more."""
    table = Table(
        name,
        MetaData() if metadata is None else metadata,
        Column("id", Integer, primary_key=True),
        Column("external_id", String(255), unique=True, nullable=False),
        *more,
        schema=schema,
    )
    mapped = type("Thing", (), {})
    registry().map_imperatively(mapped, table, properties=properties or {})
    return mapped


def changes(database, *models):
    with database.read() as connection:
        return changes_of(connection, models)


def followed(database, *models):
    """Add what is absent; a second comparison must find nothing more to add."""
    added = apply(database, models, changes(database, *models).statements)
    assert changes(database, *models).statements == ()
    return list(added)


def columns(database, table="things", schema=None):
    with database.read() as connection:
        return [column["name"] for column in inspect(connection).get_columns(table, schema=schema)]


def run(database, *statements):
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))
