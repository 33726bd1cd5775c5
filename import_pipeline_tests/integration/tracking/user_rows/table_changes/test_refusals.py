"""Changes of models that are no additions: each is left to a person, with its reason and the statements."""

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    func,
)

from import_pipeline import UtcDateTime
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.changed_models import OLD, changes, columns, followed, model, run


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
