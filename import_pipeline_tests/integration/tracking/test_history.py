"""The import history of the rows of a user's own table."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, insert, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from import_pipeline.contracts import ImportableMixin
from import_pipeline.errors import UsageError
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.history import HasImportStatus, ItemHistory, importable_type
from import_pipeline.tracking.schema import upgrade
from import_pipeline.tracking.tables import import_item_statuses, imports
from import_pipeline.tracking.user_rows.user_tables import ensure_table

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


class Base(DeclarativeBase):
    pass


class Planet(ImportableMixin, HasImportStatus, Base):
    __tablename__ = "planets"
    id: Mapped[int] = mapped_column(primary_key=True)


class Moon(HasImportStatus, Base):
    """With numbers for external ids."""

    __tablename__ = "moons"
    external_id: Mapped[int] = mapped_column(primary_key=True)


def history(import_id, status, **more):
    nothing = {"failure_count": 0, "failure_reason": None, "last_failed_at": None}
    return ItemHistory(import_id=import_id, status=status, **{**nothing, "next_attempt_at": None, **more})


COMPLETED = history(1, ItemStatus.COMPLETED, completed_at=NOON)
WAITING = history(
    2,
    ItemStatus.FAILED,
    failure_count=2,
    failure_reason="status 500",
    last_failed_at=NOON + timedelta(minutes=1),
    next_attempt_at=NOON + timedelta(minutes=2),
    completed_at=None,
)


def account(one, kind, external_id):
    values = {name: getattr(one, name) for name in one.__dataclass_fields__ if not name.startswith("left_out")}
    return {**values, "importable_type": kind, "external_id": external_id}


@pytest.fixture
def database(database_url):
    database = Database(database_url)
    upgrade(database)
    for model in (Planet, Moon):
        ensure_table(database, model)
    started = {"kind": "full", "trigger": "cli", "status": "completed", "created_at": NOON, "updated_at": NOON}
    with database.write() as connection:
        for source, model, external_id in [("planets", Planet, "earth"), ("moons", Moon, "17")]:
            kind = importable_type(model)
            for _ in range(2):
                connection.execute(insert(imports).values(source=source, importable_type=kind, **started))
            connection.execute(insert(import_item_statuses).values(**account(COMPLETED, kind, external_id)))
            connection.execute(insert(import_item_statuses).values(**account(WAITING, kind, external_id)))
    with Session(database.engine) as session, session.begin():
        session.add_all([Planet(external_id="earth"), Planet(external_id="17"), Moon(external_id=17)])
    yield database
    database.close()


@pytest.fixture
def session(database):
    with Session(database.engine) as session:
        yield session


def planet(session, external_id):
    return session.query(Planet).filter_by(external_id=external_id).one()


def test_a_row_has_its_history_newest_import_first(session):
    assert planet(session, "earth").statuses() == [WAITING, COMPLETED]
    assert planet(session, "earth").latest_status() == WAITING


def test_the_history_may_be_cut_short(session):
    assert planet(session, "earth").statuses(limit=1) == [WAITING]


def test_an_external_id_that_is_a_number_finds_its_history(session):
    assert session.get(Moon, 17).statuses() == [WAITING, COMPLETED]


def test_the_same_external_id_in_another_table_is_another_item(session):
    assert planet(session, "17").statuses() == []
    assert planet(session, "17").latest_status() is None


def test_a_row_that_belongs_to_no_session_says_so(session):
    row = planet(session, "earth")
    session.expunge(row)
    for ask in (row.statuses, row.latest_status, Planet(external_id="new").statuses):
        with pytest.raises(UsageError) as caught:
            ask()
        assert str(caught.value) == (
            "Planet.statuses: expected a row that belongs to a session, got a detached one. "
            "Call it before the session is closed, or add the row to one"
        )


def test_a_session_of_several_databases_asks_the_rows_own(database):
    elsewhere = create_engine("sqlite://")
    with Session(elsewhere, binds={Planet: database.engine}) as session:
        assert planet(session, "earth").latest_status() == WAITING
    elsewhere.dispose()


def test_the_users_table_has_no_column_and_no_key_of_ours(database):
    with database.read() as connection:
        inspector = inspect(connection)
        assert [column["name"] for column in inspector.get_columns("planets")] == ["id", "external_id"]
        assert inspector.get_foreign_keys("planets") == []


def test_the_type_of_an_importable_is_its_tables_name():
    class Comet(Base):
        __tablename__ = "comets"
        __table_args__ = {"schema": "sky"}
        id: Mapped[int] = mapped_column(primary_key=True)

    assert (importable_type(Planet), importable_type(Comet)) == ("planets", "sky.comets")
