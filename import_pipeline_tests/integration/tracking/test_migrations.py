"""The migrations: up and down, with rows, and back to known revisions only."""

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from import_pipeline.errors import SchemaError
from import_pipeline.rules.status import ImportKind, Trigger
from import_pipeline.tracking import imports
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.imports import NewImport
from import_pipeline.tracking.schema import HEAD, VERSION_TABLE, current, downgrade, migrate, revisions, upgrade
from import_pipeline.tracking.tables import import_shards, tracking_metadata
from import_pipeline_tests.support.schema_catalog import OURS, catalog, tables


@pytest.fixture
def database(empty_database_url):
    database = Database(empty_database_url)
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


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_nor_is_one_that_an_earlier_version_has_deleted_and_that_is_still_named(database):
    upgrade(database)
    downgrade(database, "0005")
    with database.write() as connection:
        for statement in ROWS:
            connection.execute(text(statement))
        connection.execute(text("UPDATE source_items SET last_import_id = 7"))
    upgrade(database)
    assert create_import(database) == 8


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
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
