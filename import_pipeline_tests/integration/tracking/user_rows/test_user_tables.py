"""The user's own tables: made once, and checked."""

import enum
from datetime import datetime

import pytest
from sqlalchemy import DateTime, ForeignKey, MetaData, String, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import UtcDateTime
from import_pipeline.contracts import ImportableMixin
from import_pipeline.errors import SchemaError
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import address, upgrade
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.parallel import run_in_parallel


@pytest.fixture
def database(empty_database_url):
    database = Database(empty_database_url)
    upgrade(database)
    yield database
    database.close()


def base():
    """Declarative classes of their own metadata, so that tests do not share tables."""

    class Base(DeclarativeBase):
        metadata = MetaData()

    return Base


def model(table_name="things", /, schema=None, base_class=None, **attributes):
    """A user's mapped class."""
    attributes = {
        "__tablename__": table_name,
        "__table_args__": {"schema": schema},
        "__module__": f"{__name__}.{table_name}",
        "id": mapped_column(primary_key=True),
        "__annotations__": {"id": Mapped[int], **attributes.pop("annotations", {})},
        **attributes,
    }
    return type("Thing", (ImportableMixin, base_class or base()), attributes)


def described(database):
    """Every table with its columns."""
    with database.read() as connection:
        inspector = inspect(connection)
        return {
            name: [column["name"] for column in inspector.get_columns(name)] for name in inspector.get_table_names()
        }


def run(database, *statements):
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_an_absent_table_is_made_and_nothing_else(database):
    before = described(database)
    ensure_table(database, ImportedItem)
    columns = [column.name for column in ImportedItem.__table__.columns]
    assert described(database) == {**before, "imported_items": columns}
    ensure_table(database, ImportedItem)


def test_tables_that_its_foreign_keys_need_are_made_too_and_others_are_not(database):
    base_class = base()
    model("continents", base_class=base_class)
    model("countries", base_class=base_class, continent_id=mapped_column(ForeignKey("continents.id")))
    model("strangers", base_class=base_class)
    before = set(described(database))
    parent_id = mapped_column(ForeignKey("towns.id"))  # of the same table
    towns = model(
        "towns", base_class=base_class, country_id=mapped_column(ForeignKey("countries.id")), parent_id=parent_id
    )
    ensure_table(database, towns)
    assert set(described(database)) - before == {"continents", "countries", "towns"}


def test_the_types_that_a_column_needs_are_made(database):
    class Colour(enum.Enum):
        RED = "red"

    ensure_table(database, model("painted", annotations={"colour": Mapped[Colour]}, colour=mapped_column()))
    assert described(database)["painted"] == ["id", "colour", "external_id"]


ADVICE = (
    "`import-pipeline migrate --add-columns` shows the statements that add what can be added, and runs them. "
    "Or give the class another __tablename__"
)
TWICE = (
    "Thing: the table things allows duplicate external_ids; expected a unique constraint or index on that column "
    "alone. Declare it with unique=True, and migrate an existing table"
)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        pytest.param(
            ["CREATE TABLE things (id INTEGER PRIMARY KEY, external_id VARCHAR(255) UNIQUE)"],
            f"Thing: the table things has no column name, price. {ADVICE}",
            id="columns missing",
        ),
        pytest.param(
            ["CREATE TABLE things (id INTEGER PRIMARY KEY, external_id VARCHAR(255), name TEXT, price TEXT)"],
            TWICE,
            id="nothing unique",
        ),
        pytest.param(
            [
                "CREATE TABLE things (id INTEGER PRIMARY KEY, external_id TEXT, name TEXT, price TEXT, "
                "UNIQUE (external_id, name))"
            ],
            TWICE,
            id="unique only together with another column",
        ),
        pytest.param(
            [
                "CREATE TABLE things (id INTEGER PRIMARY KEY, external_id TEXT, name TEXT, price TEXT)",
                "CREATE UNIQUE INDEX some_rows ON things (external_id) WHERE name IS NOT NULL",
            ],
            TWICE,
            id="unique only for some rows",
        ),
        pytest.param(
            ["CREATE VIEW things AS SELECT 1 AS id, '1' AS external_id, 'a' AS name, 'b' AS price"], TWICE, id="a view"
        ),
        pytest.param(
            ["CREATE TABLE things (id INTEGER, external_id TEXT PRIMARY KEY, name TEXT, price TEXT)"],
            None,
            id="the primary key is unique",
        ),
        pytest.param(
            ["CREATE TABLE things (id INTEGER PRIMARY KEY, external_id VARCHAR(9) UNIQUE, name TEXT, price TEXT)"],
            None,
            id="unique in the line of a column with a length",
        ),
        pytest.param(
            [
                "CREATE TABLE things (id INTEGER PRIMARY KEY, external_id TEXT, name TEXT, price TEXT, more TEXT)",
                "CREATE UNIQUE INDEX theirs ON things (external_id)",
            ],
            None,
            id="a unique index does, and further columns are the user's business",
        ),
    ],
)
def test_an_existing_table_is_checked_and_left_alone(database, statements, said):
    run(database, *statements)
    before = described(database)
    name, price = mapped_column(String), mapped_column(String)
    things = model(annotations={"name": Mapped[str], "price": Mapped[str]}, name=name, price=price)
    if said is None:
        ensure_table(database, things)
    else:
        with pytest.raises(SchemaError) as caught:
            ensure_table(database, things)
        assert str(caught.value) == said
    assert described(database) == before


def test_a_class_without_a_unique_external_id_leaves_no_table_behind(database):
    before = described(database)
    with pytest.raises(SchemaError) as caught:
        ensure_table(database, model(external_id=mapped_column(String)))
    assert str(caught.value) == TWICE
    assert described(database) == before


@pytest.mark.parametrize("name", ["imports", "import_item_statuses", "source_items", "import_pipeline_version"])
def test_the_names_of_tracking_tables_are_refused(database, name):
    with pytest.raises(SchemaError) as caught:
        ensure_table(database, model(name))
    assert str(caught.value) == (
        f"Thing: the table name {name} belongs to the tracking tables; expected another __tablename__"
    )


def test_a_schema_that_is_not_in_this_database_is_refused(database):
    with pytest.raises(SchemaError) as caught:
        ensure_table(database, model(schema="elsewhere"))
    assert str(caught.value) == (
        "Thing: the schema elsewhere of its table is not in the tracking database. "
        "The table must be in the same database: create the schema there, or leave it out"
    )


def test_a_table_may_live_in_another_schema_of_the_same_postgres(postgres_url):
    database = Database(postgres_url)
    run(database, "CREATE SCHEMA shop")
    imports = model("imports", schema="shop")
    ensure_table(database, imports)
    ensure_table(database, imports)
    with database.read() as connection:
        assert inspect(connection).get_table_names(schema="shop") == ["imports"]
    database.close()


def test_a_user_who_may_not_create_tables_gets_a_sentence(postgres_url):
    database = Database(postgres_url)
    upgrade(database)
    run(
        database,
        "DROP ROLE IF EXISTS visitor",
        "CREATE ROLE visitor LOGIN PASSWORD 'planted-secret'",
    )
    database.close()
    visitor = Database(postgres_url.replace("postgres:only-for-tests", "visitor:planted-secret"))
    with pytest.raises(SchemaError) as caught:
        ensure_table(visitor, model())
    visitor.close()
    assert str(caught.value) == (
        f"Thing: the table things cannot be created in {address(visitor)}: permission denied for schema public. "
        "Grant the database's user the right to create tables, run `import-pipeline migrate` as a user that has it, "
        "or name another database in DATABASE_URL"
    )
    assert "planted-secret" not in str(caught.value)


def test_a_table_that_is_there_is_found_while_another_process_writes(database):
    ensure_table(database, ImportedItem)
    with database.write():
        ensure_table(database, ImportedItem)


def test_a_time_whose_zone_sqlite_would_drop_is_refused_there(database):
    things = model(annotations={"at": Mapped[datetime]}, at=mapped_column(DateTime(timezone=True)))
    if not database.is_sqlite:
        ensure_table(database, things)
        return
    with pytest.raises(SchemaError) as caught:
        ensure_table(database, things)
    assert str(caught.value) == (
        "Thing: the column at is DateTime(timezone=True), and SQLite stores no time zone: its values would be read "
        "back without one. Use the type UtcDateTime of import_pipeline, which needs no change of the table"
    )
    ensure_table(database, things, is_rehearsal=True)


@pytest.mark.parametrize("type_", [UtcDateTime, DateTime])
def test_other_times_are_accepted_on_both_databases(database, type_):
    ensure_table(database, model(annotations={"at": Mapped[datetime]}, at=mapped_column(type_)))


def _ensured(url):
    database = Database(url)
    try:
        ensure_table(database, ImportedItem)
        with database.read() as connection:
            return inspect(connection).has_table("imported_items")
    finally:
        database.close()


def test_ten_processes_may_make_a_table_at_once(empty_database_url):
    assert run_in_parallel(10, _ensured, empty_database_url) == [True] * 10
