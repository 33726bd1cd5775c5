"""The tables follow their models: additions are executed, all else is left to a person with the statements."""

import enum

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    inspect,
    text,
)
from sqlalchemy import Enum as EnumType
from sqlalchemy.orm import registry, relationship

from import_pipeline import UtcDateTime
from import_pipeline.errors import SchemaError
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.user_rows.table_changes import apply, changes_of
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.parallel import run_in_parallel

#: The table as an earlier version of the model made it.
OLD = {
    "sqlite": "CREATE TABLE things (id INTEGER NOT NULL PRIMARY KEY, external_id VARCHAR(255) NOT NULL UNIQUE)",
    "postgresql": "CREATE TABLE things (id SERIAL PRIMARY KEY, external_id VARCHAR(255) NOT NULL UNIQUE)",
}


class Colour(enum.Enum):
    RED = "red"


@pytest.fixture
def database(database_url):
    database = Database(database_url)
    with database.write() as connection:
        connection.execute(text(OLD[connection.dialect.name]))
        connection.execute(text("INSERT INTO things (external_id) VALUES ('1'), ('2')"))
    yield database
    database.close()


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


def rebuilt(*lines):
    """The statements that rebuild `things` on SQLite."""
    head = "\tid INTEGER NOT NULL, \n\texternal_id VARCHAR(255) NOT NULL, \n\t"
    tail = ", \n\tPRIMARY KEY (id), \n\tUNIQUE (external_id)\n)"
    names = ", ".join(["id", "external_id", *[line.split()[0] for line in lines]])
    return (
        "PRAGMA foreign_keys=OFF",
        "BEGIN",
        f"CREATE TABLE things_new (\n{head}{', '.join(lines)}{tail}",
        f"INSERT INTO things_new ({names}) SELECT {names} FROM things",
        "DROP TABLE things",
        "ALTER TABLE things_new RENAME TO things",
        "COMMIT",
    )


REFUSED = {
    "a type that changes": (
        ["ALTER TABLE things ADD COLUMN price VARCHAR(20)"],
        lambda: [Column("price", Numeric(12, 2))],
        "the column things.price is VARCHAR(20), and the model has NUMERIC(12, 2)",
        {
            "sqlite": rebuilt("price NUMERIC(12, 2)"),
            "postgresql": ("ALTER TABLE things ALTER COLUMN price TYPE NUMERIC(12, 2) USING price::NUMERIC(12, 2)",),
        },
        True,
    ),
    "a column that existing rows have no value for": (
        [],
        lambda: [Column("price", Integer, nullable=False)],
        "the column things.price is absent, and existing rows have no value for it: make it nullable, or give it a "
        "server_default",
        ("ALTER TABLE things ADD COLUMN price INTEGER DEFAULT <a value for existing rows> NOT NULL",),
        True,
    ),
    "a column that must not be null any more": (
        ["ALTER TABLE things ADD COLUMN name VARCHAR(9)", "UPDATE things SET name = 'one'"],
        lambda: [Column("name", String(9), nullable=False)],
        "the column things.name may be null, and in the model it may not",
        {
            "sqlite": rebuilt("name VARCHAR(9) NOT NULL"),
            "postgresql": ("ALTER TABLE things ALTER COLUMN name SET NOT NULL",),
        },
        True,
    ),
    "a column that the model has no more": (
        ["ALTER TABLE things ADD COLUMN notes TEXT"],
        list,
        "the model has no column things.notes",
        ("ALTER TABLE things DROP COLUMN notes",),
        False,
    ),
    "one that each new row would need": (
        ["DELETE FROM things", "DROP TABLE things", "THINGS WITH NOTES"],
        list,
        "the model has no column things.notes, which may not be null: each new row fails",
        ("ALTER TABLE things DROP COLUMN notes",),
        True,
    ),
    "an index that the model has no more": (
        ["CREATE INDEX theirs ON things (external_id, id)"],
        list,
        "the model has no index theirs of things",
        ("DROP INDEX theirs",),
        False,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_rest_is_refused_with_the_statement_to_run_by_hand(database, case):
    before, more, reason, statements, is_needed = REFUSED[case]
    dialect = database.engine.dialect.name
    whole = OLD[dialect].replace("UNIQUE)", "UNIQUE, notes TEXT NOT NULL)")
    run(database, *[whole if each == "THINGS WITH NOTES" else each for each in before])
    there, things = columns(database), model(*more())
    [refused] = changes(database, things).refused
    statements = statements[dialect] if isinstance(statements, dict) else statements
    assert (refused.reason, refused.statements, refused.is_needed) == (reason, statements, is_needed)
    assert followed(database, things) == []
    assert columns(database) == there
    with database.migrate() as connection:
        for statement in statements:
            if statement not in {"BEGIN", "COMMIT"}:
                connection.exec_driver_sql(statement.replace("<a value for existing rows>", "7"))
    assert [each for each in changes(database, things).refused if each.is_needed] == []
    ensure_table(database, things)


def test_a_name_that_the_database_cuts_or_takes_for_another_is_refused(database):
    """Otherwise the statement fails, and with it all others; or the column is absent again each time."""
    long, case = "x" * 64, "EXTERNAL_ID"
    found = changes(database, model(Column(long, Integer), Column(case, Integer), Column("name", String(40))))
    if database.is_sqlite:
        said = (
            f"the column things.{case} is absent, and SQLite takes it for external_id, which differs by capitals only"
        )
        assert [each.reason for each in found.refused] == [f"{said}: rename it"]
        assert found.statements[-1] == "ALTER TABLE things ADD COLUMN name VARCHAR(40)"
    else:
        assert [each.reason for each in found.refused] == [
            f"the column things.{long} is absent, and its name is longer than the 63 bytes that the database keeps: "
            "shorten it"
        ]
        assert len(found.statements) == 2


def test_an_identity_gives_existing_rows_no_value_on_sqlite(database):
    found = changes(database, model(Column("place", Integer, Identity(), nullable=False)))
    assert (len(found.statements), len(found.refused)) == ((0, 1) if database.is_sqlite else (1, 0))


def test_a_statement_that_the_database_does_not_understand_is_named(database):
    """It is no missing right, although drivers have one class for both."""
    things = model(Column("place", Integer, server_default=text("no_such_function(")))
    if database.is_sqlite:
        assert len(changes(database, things).refused) == 1
        return
    with pytest.raises(SchemaError, match=r"ALTER TABLE things ADD COLUMN place .*Nothing was added"):
        apply(database, [things], changes(database, things).statements)


def test_a_default_that_sqlite_cannot_give_to_existing_rows_is_refused_there(database):
    things = model(Column("at", UtcDateTime, nullable=False, server_default=func.now()))
    if not database.is_sqlite:
        assert followed(database, things) == [
            "ALTER TABLE things ADD COLUMN at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL"
        ]
        return
    [refused] = changes(database, things).refused
    assert refused.reason == "the column things.at is absent, and SQLite can add only a constant default"
    assert refused.statements[3] == "INSERT INTO things_new (id, external_id) SELECT id, external_id FROM things"


def test_a_foreign_key_and_a_check_on_columns_that_are_there_are_no_additions(database):
    run(
        database,
        "CREATE TABLE makers (id INTEGER PRIMARY KEY)",
        "ALTER TABLE things ADD COLUMN maker_id INTEGER",
    )
    metadata = MetaData()
    Table("makers", metadata, Column("id", Integer, primary_key=True))
    things = model(
        Column("maker_id", Integer),
        ForeignKeyConstraint(["maker_id"], ["makers.id"]),
        CheckConstraint("maker_id > 0"),
        metadata=metadata,
    )
    found = changes(database, things)
    assert found.statements == ()
    [refused] = found.refused
    assert (refused.reason, refused.is_needed) == ("things has no foreign key of maker_id", False)


def test_a_view_is_left_alone(database):
    run(database, "CREATE VIEW items_seen AS SELECT id, external_id FROM things")
    [refused] = changes(database, model(name="items_seen")).refused
    assert (refused.reason, refused.statements) == ("items_seen is a view: an import needs a table", ())


def test_a_statement_that_the_database_refuses_adds_nothing(database):
    run(database, "ALTER TABLE things ADD COLUMN code VARCHAR(9)", "UPDATE things SET code = 'same'")
    things = model(Column("name", Text), Column("code", String(9)), UniqueConstraint("code"))
    with pytest.raises(SchemaError) as caught:
        apply(database, [things], changes(database, things).statements)
    said = str(caught.value)
    assert "things" in said
    assert "code" in said
    assert said.endswith(". Nothing was added")
    assert columns(database) == ["id", "external_id", "code"]


def test_statements_that_were_not_confirmed_are_not_executed(database):
    things = model(Column("name", Text))
    confirmed = changes(database, things).statements
    run(database, "DROP TABLE things")
    with pytest.raises(SchemaError) as caught:
        apply(database, [things], confirmed)
    assert str(caught.value) == "the tables were changed meanwhile, and nothing was added: run the command again"
    with database.read() as connection:
        assert inspect(connection).get_table_names() == []


def test_a_user_who_may_not_alter_tables_gets_a_sentence(postgres_url):
    database = Database(postgres_url)
    run(
        database,
        OLD["postgresql"],
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN PASSWORD 'planted-secret'",
        "GRANT SELECT ON things TO guest",
    )
    guest = Database(postgres_url.replace("postgres:only-for-tests", "guest:planted-secret"))
    things = model(Column("name", Text))
    with pytest.raises(SchemaError) as caught:
        apply(guest, [things], changes(guest, things).statements)
    guest.close()
    assert "must be owner of table things" in str(caught.value)
    assert "planted-secret" not in str(caught.value)
    assert columns(database) == ["id", "external_id"]
    database.close()


def _followed(url):
    database = Database(url)
    try:
        things = model(Column("name", Text, index=True))
        return len(apply(database, [things], changes(database, things).statements))
    finally:
        database.close()


def test_of_several_processes_one_adds_and_the_others_find_it_done(database, database_url):
    assert sum(run_in_parallel(6, _followed, database_url)) == 2
    assert columns(database) == ["id", "external_id", "name"]
