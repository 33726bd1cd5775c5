"""The tables and their migrations, which make what tables.py says and run by themselves, once, beside Dagster's own."""

import logging
import re
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text

from import_pipeline.errors import SchemaError
from import_pipeline.rules.status import ImportKind, Trigger
from import_pipeline.tracking import imports, schema
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.imports import NewImport
from import_pipeline.tracking.schema import HEAD, VERSION_TABLE, current, downgrade, migrate, revisions, upgrade
from import_pipeline.tracking.tables import import_shards, tracking_metadata
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.parallel import run_in_parallel
from import_pipeline_tests.support.parcels import Parcel

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


@pytest.fixture
def database(database_url):
    database = Database(database_url)
    yield database
    database.close()


def test_the_migrations_make_what_tables_py_says_and_what_a_new_database_gets(database):
    migrate(database)
    migrated = catalog(database)
    with database.read() as connection:
        options = {"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in OURS}
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, **options})
        assert compare_metadata(context, tracking_metadata) == []
    downgrade(database)
    assert tables(database) == {VERSION_TABLE}
    with database.write() as connection:
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    upgrade(database)
    assert migrated == catalog(database)


@pytest.mark.parametrize("again", [upgrade, migrate])
def test_upgrade_downgrade_upgrade_ends_where_it_began(database, again):
    upgrade(database)
    first = catalog(database)
    downgrade(database)
    again(database)
    assert catalog(database) == first
    with database.read() as connection:
        assert current(connection) == HEAD


def test_the_table_of_shards_comes_and_goes_while_imports_stay(database):
    upgrade(database)
    first = catalog(database)
    new = NewImport(source="items", importable_type="items", kind=ImportKind.FULL, trigger=Trigger.CLI)
    with database.write() as connection:
        row = imports.create(connection, new, datetime(2030, 6, 1, tzinfo=UTC))
        connection.execute(import_shards.insert().values(import_id=row.id, number=2))
    downgrade(database, "0001")
    later = {"import_shards", "import_slices", "panel_logouts"}
    later |= {"source_bookmarks", "source_revisions", "source_schedules"}
    assert tables(database) == OURS - later
    upgrade(database)
    assert catalog(database) == first
    with database.read() as connection:
        assert imports.get(connection, row.id) == row
        assert connection.execute(import_shards.select()).all() == []


def all_revisions():
    config = Config()
    config.set_main_option("script_location", "import_pipeline:tracking/migrations")
    return revisions(config)


#: Rows of every table of the first revision, as it knows them.
IMPORT = (
    'INSERT INTO imports (id, source, importable_type, kind, "trigger", status, created_at, updated_at, checkpoint) '
    "VALUES (1, 'items', 'Item', 'full', 'cli', 'completed', '2030-01-01 00:00:00', '2030-01-01 00:00:00', '{}')"
)
ROWS = [
    IMPORT,
    "INSERT INTO import_item_statuses (import_id, importable_type, external_id, status, failure_reason) "
    "VALUES (1, 'Item', 'a', 'failed', '404'), (1, 'Item', 'b', 'completed', NULL)",
    "INSERT INTO source_items (source, external_id, version, first_import_id, last_import_id) "
    "VALUES ('items', 'b', 'v1', 1, 1)",
    "INSERT INTO import_events (import_id, at, action, message) VALUES (1, '2030-01-01 00:00:00', 'ended', 'Done.')",
    "INSERT INTO import_requests (source, wish, requested_at) VALUES ('items', 'new', '2030-01-01 00:00:00')",
]
TABLES = ("imports", "import_item_statuses", "source_items", "import_events", "import_requests")


def contents(database, columns):
    """Return table -> its rows, reduced to those columns."""
    with database.read() as connection:
        return {
            name: [dict(row._mapping) for row in connection.execute(text(f"SELECT {names} FROM {name} ORDER BY 1, 2"))]
            for name, names in columns.items()
        }


@pytest.mark.parametrize("revision", all_revisions())
def test_an_upgrade_keeps_all_rows_and_so_does_the_way_back(database, revision):
    """From each revision to the newest and back again, with data: nothing that the older one can hold is lost."""
    upgrade(database)
    downgrade(database, revision)
    before = catalog(database)
    with database.write() as connection:
        for statement in ROWS:
            connection.execute(text(statement))
        inspector = inspect(connection)
        columns = {name: ", ".join(f'"{each["name"]}"' for each in inspector.get_columns(name)) for name in TABLES}
    rows = contents(database, columns)
    assert [len(found) for found in rows.values()] == [1, 2, 1, 1, 1]
    upgrade(database)
    assert contents(database, columns) == rows
    downgrade(database, revision)
    assert (contents(database, columns), catalog(database)) == (rows, before)
    upgrade(database)
    assert contents(database, columns) == rows


def test_tables_do_not_go_back_while_an_import_runs(database):
    upgrade(database)
    with database.write() as connection:
        connection.execute(text(IMPORT.replace("'completed'", "'running'")))
    with pytest.raises(SchemaError) as caught:
        downgrade(database)
    assert str(caught.value) == (
        "import 1 of items is running: cancel it or wait for its end, and stop Dagster, before you change its tables"
    )
    with database.read() as connection:
        assert current(connection) == HEAD


@pytest.mark.parametrize("revision", ["0999", "head", ""])
def test_tables_go_back_to_known_revisions_only(database, revision):
    upgrade(database)
    with pytest.raises(SchemaError) as caught:
        downgrade(database, revision)
    known = ", ".join(["base", *all_revisions()])
    assert str(caught.value) == (
        f"the tracking tables cannot go back to {revision}: expected one of {known}; they are at {HEAD}"
    )


def test_the_constant_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", "import_pipeline:tracking/migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD] == all_revisions()[-1:]


def test_a_second_upgrade_of_the_same_database_asks_nothing(database):
    upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE import_pipeline_version"))
    upgrade(database)


def test_a_new_database_and_an_up_to_date_one_need_no_migration_nor_even_alembic(database_url):
    program = (
        "import sys\nfrom import_pipeline.tracking import schema\n"
        "from import_pipeline.tracking.database import engine\n"
        "schema.upgrade(engine.Database(sys.argv[1]))\n"
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", program, database_url]
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


def test_ten_processes_may_upgrade_at_once(database_url):
    assert run_in_parallel(10, _upgraded, database_url) == [HEAD] * 10


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


def create_import(database):
    new = NewImport(source="items", importable_type="items", kind=ImportKind.FULL, trigger=Trigger.CLI)
    with database.write() as connection:
        return imports.create(connection, new, datetime(2030, 6, 1, tzinfo=UTC)).id


def forget_import(database, number):
    with database.write() as connection:
        connection.execute(text("DELETE FROM imports WHERE id = :number"), {"number": number})


def test_the_number_of_a_deleted_import_is_not_given_again(database):
    upgrade(database)
    first, second = create_import(database), create_import(database)
    forget_import(database, second)
    assert create_import(database) == second + 1
    for number in (first, second + 1):
        forget_import(database, number)
    assert create_import(database) == second + 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nor_is_one_that_an_earlier_version_has_deleted_and_that_is_still_named(database):
    upgrade(database)
    downgrade(database, "0005")
    with database.write() as connection:
        for statement in ROWS:
            connection.execute(text(statement))
        connection.execute(text("UPDATE source_items SET last_import_id = 7"))
    upgrade(database)
    assert create_import(database) == 8


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_foreign_keys_hold_again_after_a_migration(database):
    upgrade(database)
    downgrade(database, "0005")
    upgrade(database)
    with database.write() as connection:
        for statement in ROWS:
            connection.execute(text(statement))
    forget_import(database, 1)
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM import_item_statuses")) == 0
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
