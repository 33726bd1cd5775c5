"""The tracking tables come by themselves, once, beside Dagster's own; what cannot be theirs is refused."""

import logging
import re
import subprocess
import sys
from contextlib import closing

import pytest
from sqlalchemy import event, text

from import_pipeline.errors import SchemaError
from import_pipeline.tracking import schema
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import HEAD, VERSION_TABLE, current, downgrade, migrate, upgrade
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.parallel import run_in_parallel
from import_pipeline_tests.support.parcels import Parcel
from import_pipeline_tests.support.schema_catalog import OURS, catalog, tables


@pytest.fixture
def database(empty_database_url):
    database = Database(empty_database_url)
    yield database
    database.close()


def test_a_second_upgrade_of_the_same_database_asks_nothing(database):
    upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE import_pipeline_version"))
    upgrade(database)


def test_a_new_database_and_an_up_to_date_one_need_no_migration_nor_even_alembic(empty_database_url):
    program = (
        "import sys\nfrom import_pipeline.tracking import schema\n"
        "from import_pipeline.tracking.database import engine\n"
        "schema.upgrade(engine.Database(sys.argv[1]))\n"
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", program, empty_database_url]
    said = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [(one.stdout, one.stderr) for one in said] == [("False\n", "")] * 2


def test_alembic_logs_nothing_and_its_logger_is_left_as_it_was(database, caplog):
    caplog.set_level(logging.DEBUG)
    migrate(database)
    downgrade(database)
    assert [record for record in caplog.records if record.name.startswith("alembic")] == []
    assert logging.getLogger("alembic").level == logging.NOTSET


def _upgraded(url):
    database = Database(url)
    try:
        upgrade(database)
        with database.read() as connection:
            return current(connection)
    finally:
        database.close()


def test_ten_processes_may_upgrade_at_once(empty_database_url):
    assert run_in_parallel(10, _upgraded, empty_database_url) == [HEAD] * 10


def test_tables_are_created_although_the_server_ends_the_session_once(postgres_url):
    """It does so if the process is starved for ten seconds within the transaction."""
    database = Database(postgres_url)
    ended = {}

    def end_once(connection, cursor, statement, *_):
        [created] = re.findall(r"CREATE TABLE (imports|parcels) ", statement) or [None]
        if created and created not in ended:
            ended[created] = cursor.connection.info.backend_pid
            with closing(Database(postgres_url)) as operator, operator.write() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": ended[created]})

    event.listen(database.engine, "before_cursor_execute", end_once)
    with closing(database):
        upgrade(database)
        ensure_table(database, Parcel)
        assert set(ended) == {"imports", "parcels"}
        assert tables(database) >= {*OURS, "parcels"}


def test_a_newer_database_is_refused_and_left_alone(database):
    upgrade(database)
    before = catalog(database)
    with database.write() as connection:
        connection.execute(text("UPDATE import_pipeline_version SET version_num = '0999'"))
    later = Database(database.url.render_as_string(hide_password=False))
    try:
        with pytest.raises(SchemaError) as caught:
            upgrade(later)
        assert catalog(later) == before
    finally:
        later.close()
    assert str(caught.value) == (
        f"the tracking tables in {schema.address(database)} are of version 0999, created by a newer import_pipeline; "
        f"this one knows versions up to {HEAD}. Update import_pipeline, or name another database in DATABASE_URL"
    )


def test_a_foreign_table_of_the_same_name_is_refused_and_unchanged(database):
    with database.write() as connection:
        connection.execute(text("CREATE TABLE imports (theirs INTEGER)"))
    with pytest.raises(SchemaError) as caught:
        upgrade(database)
    assert str(caught.value) == (
        f"{schema.address(database)} already has a table imports that import_pipeline did not create. "
        "Rename it, or name another database in DATABASE_URL"
    )
    assert tables(database) == {"imports"}


def test_a_user_who_may_not_create_tables_gets_a_sentence(postgres_server, postgres_url):
    owner = Database(postgres_url)
    with owner.write() as connection:
        connection.execute(text("DROP ROLE IF EXISTS reader"))
        connection.execute(text("CREATE ROLE reader LOGIN PASSWORD 'planted-secret'"))
    owner.close()
    database = Database(postgres_url.replace("postgres:only-for-tests", "reader:planted-secret"))
    with pytest.raises(SchemaError) as caught:
        upgrade(database)
    database.close()
    assert str(caught.value) == (
        f"the tracking tables cannot be created in {schema.address(database)}: permission denied for schema public. "
        "Grant the database's user the right to create tables, run `import-pipeline migrate` as a user that has it, "
        "or name another database in DATABASE_URL"
    )
    assert "planted-secret" not in str(caught.value)


@pytest.mark.parametrize("ours_first", [True, False])
def test_dagster_keeps_its_tables_in_the_same_postgres(postgres_url, ours_first):
    from dagster_postgres import DagsterPostgresStorage

    database = Database(postgres_url)
    if ours_first:
        upgrade(database)
    assert DagsterPostgresStorage(postgres_url=postgres_url).run_storage.get_runs() == []
    upgrade(database)
    assert tables(database) >= {"imports", VERSION_TABLE, "runs", "alembic_version"}
    later = Database(postgres_url)
    upgrade(later)
    assert DagsterPostgresStorage(postgres_url=postgres_url).event_log_storage.get_asset_records() == []
    later.close()
    database.close()
