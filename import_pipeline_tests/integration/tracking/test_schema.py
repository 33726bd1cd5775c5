"""Migrations, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, make_url, text

from import_pipeline.errors import DatabaseUnavailable, SchemaError
from import_pipeline.settings import database_url as normalised
from import_pipeline.tracking.database import Database
from import_pipeline.tracking.schema import VERSION_TABLE, current, downgrade, upgrade
from import_pipeline.tracking.tables import tracking_metadata


@pytest.fixture
def database(database_url):
    database = Database(normalised(database_url))
    yield database
    database.close()


def test_migrations_make_exactly_the_declared_tables(database):
    upgrade(database)
    with database.read() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": False}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tracking_metadata) == []


def test_downgrade_leaves_nothing_behind_and_upgrade_works_again(database):
    upgrade(database)
    downgrade(database, "base")
    with database.read() as connection:
        assert set(inspect(connection).get_table_names()) == {VERSION_TABLE}
    upgrade(database)
    with database.read() as connection:
        assert current(connection) == "0001"


def test_ten_processes_may_upgrade_at_once(database_url):
    def one(_: int) -> str | None:
        database = Database(normalised(database_url))
        try:
            upgrade(database)
            with database.read() as connection:
                return current(connection)
        finally:
            database.close()

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(one, range(10))) == ["0001"] * 10


def test_tables_of_a_newer_version_are_refused_with_what_to_do(database):
    upgrade(database)
    with database.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaError, match=r"revision 9999.*install the newer version"):
        upgrade(database)


@pytest.mark.parametrize("ours_first", [True, False])
def test_dagster_keeps_its_tables_in_the_same_postgres(postgres_url, ours_first):
    from dagster_postgres import DagsterPostgresStorage

    url = normalised(postgres_url)
    database = Database(url)
    if ours_first:
        upgrade(database)
    assert DagsterPostgresStorage(postgres_url=url).run_storage.get_runs() == []
    upgrade(database)
    with database.read() as connection:
        tables = set(inspect(connection).get_table_names())
    assert {"imports", VERSION_TABLE, "runs", "alembic_version"} <= tables
    database.close()


def test_a_wrong_password_is_one_sentence_without_it(postgres_url):
    url = make_url(normalised(postgres_url)).set(password="s3cret")
    database = Database(url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailable, match="password authentication failed") as caught:
        upgrade(database)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_sentence():
    database = Database("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable, match="Connection refused"):
        upgrade(database)


def test_a_file_that_may_not_be_written_is_one_sentence(tmp_path):
    Database(f"sqlite:///{tmp_path / 'a.db'}")
    writable = Database(f"sqlite:///{tmp_path / 'a.db'}")
    upgrade(writable)
    downgrade(writable, "base")
    writable.close()
    database = Database(f"sqlite:///file:{tmp_path / 'a.db'}?mode=ro&uri=true")
    with pytest.raises(DatabaseUnavailable, match="readonly database"):
        upgrade(database)
    database.close()
