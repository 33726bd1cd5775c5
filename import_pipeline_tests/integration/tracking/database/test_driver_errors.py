"""The errors of real databases, and the meaning that each is given."""

import threading

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from import_pipeline.rules.database_errors import ErrorKind
from import_pipeline.tracking.database.driver_errors import meaning_of


def meaning_of_act(act):
    with pytest.raises((DBAPIError, ValueError, OverflowError)) as caught:
        act()
    return meaning_of(caught.value)


@pytest.fixture
def engine(database_url):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (name VARCHAR(5) UNIQUE, size INTEGER)"))
        connection.execute(text("INSERT INTO things VALUES ('a', 1), ('b', 1)"))
    yield engine
    engine.dispose()


def run(engine, statement, **values):
    with engine.begin() as connection:
        connection.execute(text(statement), values)


@pytest.mark.parametrize(
    ("statement", "values", "meaning"),
    [
        ("INSERT INTO things (name) VALUES ('a')", {}, ErrorKind.ROW),
        ("INSERT INTO things (size) VALUES (:size)", {"size": 2**70}, ErrorKind.ROW),
        ("INSERT INTO things (name) VALUES (:name)", {"name": "\ud800"}, ErrorKind.ROW),
        ("INSERT INTO things (name) VALUES (:name)", {"name": object()}, ErrorKind.ROW),
        ("INSERT INTO things (colour) VALUES (1)", {}, ErrorKind.MODEL),
        ("INSERT INTO nothings VALUES (1)", {}, ErrorKind.MODEL),
        ("SELEC", {}, ErrorKind.OTHER),
    ],
)
def test_a_row_and_a_model_that_do_not_fit(engine, statement, values, meaning):
    assert meaning_of_act(lambda: run(engine, statement, **values)) == meaning


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_deadlock_is_a_conflict(engine):
    """Two transactions lock two rows in different orders: the server ends one of them."""
    found, both = [], threading.Barrier(2, timeout=30)

    def cross(first, second):
        try:
            with engine.begin() as connection:
                connection.execute(text("UPDATE things SET size = 2 WHERE name = :name"), {"name": first})
                both.wait()
                connection.execute(text("UPDATE things SET size = 3 WHERE name = :name"), {"name": second})
        except DBAPIError as error:
            found.append(meaning_of(error))

    threads = [threading.Thread(target=cross, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [ErrorKind.CONFLICT]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_serialization_failure_is_a_conflict(engine):
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        connection.execute(text("SELECT * FROM things"))
        run(engine, "UPDATE things SET size = 9")
        assert meaning_of_act(lambda: connection.execute(text("UPDATE things SET size = 2"))) == ErrorKind.CONFLICT


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("how", "meaning"),
    [
        ("SELECT pg_terminate_backend(:pid)", ErrorKind.GONE),
        ("SELECT pg_cancel_backend(:pid)", ErrorKind.LOCKED),
    ],
)
def test_a_session_that_an_operator_ends(engine, how, meaning):
    def sleep():
        with engine.begin() as connection:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
            threading.Timer(0.2, lambda: run(engine, how, pid=pid)).start()
            connection.execute(text("SELECT pg_sleep(60)"))

    assert meaning_of_act(sleep) == meaning


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_lock_that_is_not_given_in_time(engine):
    with engine.begin() as holder:
        holder.execute(text("LOCK TABLE things IN ACCESS EXCLUSIVE MODE"))
        act = "SET LOCAL lock_timeout = '50ms'; SELECT * FROM things"
        assert meaning_of_act(lambda: run(engine, act)) == ErrorKind.LOCKED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_another_one_writes(engine):
    with engine.connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        other = create_engine(engine.url, connect_args={"timeout": 0})
        assert meaning_of_act(lambda: run(other, "UPDATE things SET size = 2")) == ErrorKind.LOCKED
        other.dispose()
        holder.rollback()
