"""A database that is lent again looks as one that was just created."""

from contextlib import closing

import pytest
from sqlalchemy import text

from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support.tracked_databases import TrackedDatabases


@pytest.fixture
def lending(postgres_server):
    return TrackedDatabases(postgres_server)


def after(lending, *statements):
    """Return if the same database is lent again after these statements, and the address that is lent."""
    url = lending.take()
    execute(url, *statements)
    lending.give_back(url)
    return (lent := lending.take()) == url, lent


def execute(url, *statements):
    with closing(Database(url)) as database, database.write() as connection:
        return [connection.execute(text(each)) for each in statements]


ROW = (
    "INSERT INTO imports (source, importable_type, kind, trigger, status, scheduled_at, created_at, updated_at)"
    " VALUES ('items', 'items', 'full', 'cli', 'scheduled', now(), now(), now()) RETURNING id"
)


def test_rows_and_a_users_tables_are_gone_and_numbers_begin_anew(lending):
    is_same, url = after(lending, ROW, ROW, "CREATE TABLE things (id serial PRIMARY KEY)")
    assert is_same
    with closing(Database(url)) as database, database.write() as connection:
        assert connection.execute(text(ROW)).scalar() == 1
        assert connection.scalar(text("SELECT count(*) FROM imports")) == 1
        assert connection.scalar(text("SELECT to_regclass('things')")) is None
    lending.give_back(url)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE imports ADD COLUMN more text",
        "ALTER TABLE imports ALTER COLUMN source DROP NOT NULL",
        "DROP INDEX ix_imports_listed",
        "DROP TABLE import_events",
        "UPDATE import_pipeline_version SET version_num = '0001'",
        "CREATE SCHEMA other",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE mood AS ENUM ('good')",
    ],
)
def test_a_database_of_another_structure_is_not_lent_again(lending, statement):
    is_same, url = after(lending, statement)
    assert not is_same
    lending.give_back(url)
