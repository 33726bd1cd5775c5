"""The tables of a database as it describes them itself."""

from sqlalchemy import inspect, text

from import_pipeline.tracking.schema import VERSION_TABLE
from import_pipeline.tracking.tables import tracking_metadata

OURS = {*tracking_metadata.tables, VERSION_TABLE}

# The whole description of each table in the catalog, as rows that can be compared.
CATALOG = {
    "sqlite": [
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND type = 'index'",
        "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'",
    ],
    "postgresql": [
        "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    ],
}


def catalog(database):
    """Every table as the database itself describes it."""
    with database.read() as connection:
        inspector = inspect(connection)
        rows = {
            tuple(row) for statement in CATALOG[connection.dialect.name] for row in connection.execute(text(statement))
        }
        for name in inspector.get_table_names():
            described = [{**one, "type": str(one["type"])} for one in inspector.get_columns(name)]
            rows |= {(name, repr(one)) for one in described}
            rows |= {(name, repr(one)) for one in inspector.get_foreign_keys(name)}
            rows |= {(name, repr(one)) for one in inspector.get_unique_constraints(name)}
            rows.add((name, repr(inspector.get_pk_constraint(name))))
        return rows


def tables(database):
    with database.read() as connection:
        return set(inspect(connection).get_table_names())
