"""The statements are executed as they were confirmed, all or none, and once among several processes."""

import pytest
from sqlalchemy import Column, Integer, String, Text, UniqueConstraint, inspect, text

from import_pipeline.errors import SchemaError
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.user_rows.table_changes import apply
from import_pipeline_tests.support.changed_models import OLD, changes, columns, model, run
from import_pipeline_tests.support.parallel import run_in_parallel


def test_a_statement_that_the_database_does_not_understand_is_named(database):
    """It is no missing right, although drivers have one class for both."""
    things = model(Column("place", Integer, server_default=text("no_such_function(")))
    if database.is_sqlite:
        assert len(changes(database, things).refused) == 1
        return
    with pytest.raises(SchemaError, match=r"ALTER TABLE things ADD COLUMN place .*Nothing was added"):
        apply(database, [things], changes(database, things).statements)


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


def test_of_several_processes_one_adds_and_the_others_find_it_done(database, empty_database_url):
    assert sum(run_in_parallel(6, _followed, empty_database_url)) == 2
    assert columns(database) == ["id", "external_id", "name"]
