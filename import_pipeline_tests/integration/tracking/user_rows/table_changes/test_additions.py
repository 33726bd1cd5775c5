"""Additions to tables of changed models: columns, indexes, constraints, tables that no stored row contradicts."""

import enum

import pytest
from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Numeric, String, Table, Text, inspect, text
from sqlalchemy import Enum as EnumType
from sqlalchemy.orm import registry, relationship

from import_pipeline import UtcDateTime
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.changed_models import OLD, changes, columns, followed, model, run


class Colour(enum.Enum):
    RED = "red"


ADDED = {
    "a nullable column": (lambda: [Column("name", String(40))], ["ALTER TABLE things ADD COLUMN name VARCHAR(40)"]),
    "a type of ours": (
        lambda: [Column("at", UtcDateTime)],
        {
            "sqlite": ["ALTER TABLE things ADD COLUMN at DATETIME"],
            "postgresql": ["ALTER TABLE things ADD COLUMN at TIMESTAMP WITH TIME ZONE"],
        },
    ),
    "two columns, in the order of the model": (
        lambda: [Column("b", Integer), Column("a", Numeric(12, 2))],
        ["ALTER TABLE things ADD COLUMN b INTEGER", "ALTER TABLE things ADD COLUMN a NUMERIC(12, 2)"],
    ),
    "a column that may not be null, with a default of the database": (
        lambda: [Column("state", String(30), nullable=False, server_default="new 100%: it's")],
        ["ALTER TABLE things ADD COLUMN state VARCHAR(30) DEFAULT 'new 100%: it''s' NOT NULL"],
    ),
    "a name that must be quoted": (
        lambda: [Column("Total % of: order", Integer, index=False), Column("select", Integer)],
        [
            'ALTER TABLE things ADD COLUMN "Total % of: order" INTEGER',
            'ALTER TABLE things ADD COLUMN "select" INTEGER',
        ],
    ),
    "a column with an index": (
        lambda: [Column("name", String(40), index=True)],
        ["ALTER TABLE things ADD COLUMN name VARCHAR(40)", "CREATE INDEX ix_things_name ON things (name)"],
    ),
    "a unique column": (
        lambda: [Column("code", String(9), unique=True)],
        {
            "sqlite": [
                "ALTER TABLE things ADD COLUMN code VARCHAR(9)",
                "CREATE UNIQUE INDEX uq_things_code ON things (code)",
            ],
            "postgresql": ["ALTER TABLE things ADD COLUMN code VARCHAR(9)", "ALTER TABLE things ADD UNIQUE (code)"],
        },
    ),
    "an index on columns that are there": (
        lambda: [Index("ix_both", "external_id", "id")],
        ["CREATE INDEX ix_both ON things (external_id, id)"],
    ),
    "an enumeration of the database": (
        lambda: [Column("colour", EnumType(Colour))],
        {
            "sqlite": ["ALTER TABLE things ADD COLUMN colour VARCHAR(3)"],
            "postgresql": [
                "CREATE TYPE colour AS ENUM ('RED')",
                "ALTER TABLE things ADD COLUMN colour colour",
            ],
        },
    ),
    "nothing, if the model says what the table has": (list, []),
}


@pytest.mark.parametrize("case", ADDED)
def test_what_no_row_can_contradict_is_added(database, case):
    more, expected = ADDED[case]
    expected = expected if isinstance(expected, list) else expected[database.engine.dialect.name]
    things = model(*more())
    assert followed(database, things) == expected
    assert changes(database, things).refused == ()
    ensure_table(database, things)
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM things")) == 2


def test_an_enumeration_that_the_database_has_is_used(postgres_url):
    database = Database(postgres_url)
    run(database, OLD["postgresql"], "CREATE TYPE colour AS ENUM ('RED')")
    assert followed(database, model(Column("colour", EnumType(Colour)))) == [
        "ALTER TABLE things ADD COLUMN colour colour"
    ]
    database.close()


def test_absent_tables_of_the_model_are_created_with_their_indexes(database):
    metadata = MetaData()
    Table("makers", metadata, Column("id", Integer, primary_key=True), Column("name", String(9), index=True))
    Table("strangers", metadata, Column("id", Integer, primary_key=True))
    lines = Table(
        "lines",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("thing_id", ForeignKey("things.id")),
        Column("text", Text, index=True),
    )
    line = type("Line", (), {})
    mapping = registry()
    mapping.map_imperatively(line, lines)
    things = model(
        Column("maker_id", ForeignKey("makers.id", ondelete="SET NULL")),
        metadata=metadata,
        properties={"lines": relationship(line)},
    )
    added = followed(database, things)
    assert [statement.split(" (")[0] for statement in added] == [
        "CREATE TABLE makers",
        "CREATE INDEX ix_makers_name ON makers",
        "CREATE TABLE lines",
        "CREATE INDEX ix_lines_text ON lines",
        "ALTER TABLE things ADD COLUMN maker_id INTEGER REFERENCES makers",
    ]
    assert added[-1].endswith("REFERENCES makers (id) ON DELETE SET NULL")
    with database.read() as connection:
        names = inspect(connection).get_table_names()
        [key] = inspect(connection).get_foreign_keys("things")
    assert {"things", "makers", "lines"} <= set(names)
    assert "strangers" not in names
    assert (key["constrained_columns"], key["referred_table"]) == (["maker_id"], "makers")


def test_a_table_that_the_model_only_refers_to_is_not_altered(database):
    run(database, "CREATE TABLE makers (id INTEGER PRIMARY KEY)")
    metadata = MetaData()
    Table("makers", metadata, Column("id", Integer, primary_key=True), Column("name", String(9)))
    things = model(Column("maker_id", ForeignKey("makers.id")), metadata=metadata)
    assert followed(database, things) == ["ALTER TABLE things ADD COLUMN maker_id INTEGER REFERENCES makers (id)"]
    assert columns(database, "makers") == ["id"]


def test_child_tables_get_their_columns_too(database):
    run(database, "CREATE TABLE lines (id INTEGER NOT NULL PRIMARY KEY, thing_id INTEGER REFERENCES things (id))")
    metadata = MetaData()
    lines = Table(
        "lines",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("thing_id", ForeignKey("things.id")),
        Column("text", Text),
    )
    line = type("Line", (), {})
    registry().map_imperatively(line, lines)
    things = model(metadata=metadata, properties={"lines": relationship(line)})
    assert followed(database, things) == ["ALTER TABLE lines ADD COLUMN text TEXT"]


@pytest.mark.parametrize("schema", ["shop", "public", "Own shop"])
def test_a_schema_of_the_model_is_respected(postgres_url, schema):
    database = Database(postgres_url)
    if schema != "public":
        run(database, f'CREATE SCHEMA "{schema}"')
    run(
        database,
        f'CREATE TABLE "{schema}".things (id SERIAL PRIMARY KEY, external_id VARCHAR(255) NOT NULL UNIQUE)',
        "CREATE SCHEMA another",
        "CREATE TABLE another.things (id SERIAL PRIMARY KEY)",
    )
    added = followed(database, model(Column("name", Text, index=True), schema=schema))
    quoted = f'"{schema}"' if " " in schema else schema
    assert added[0] == f"ALTER TABLE {quoted}.things ADD COLUMN name TEXT"
    assert columns(database, schema=schema) == ["id", "external_id", "name"]
    assert columns(database, schema="another") == ["id"]
    database.close()
