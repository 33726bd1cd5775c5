"""Units of work against databases that end a transaction: each takes effect once, whatever ended it."""

import threading
from contextlib import closing

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.retrying import Patience
from import_pipeline_tests.support.slow_proxy import SlowProxy

POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
PATIENCE = Patience(seconds=60)


@pytest.fixture
def database(database_url):
    with closing(Database(database_url)) as database:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE things (name VARCHAR(5) UNIQUE, size INTEGER)"))
            connection.execute(text("INSERT INTO things VALUES ('a', 1), ('b', 1)"))
        yield database


@pytest.fixture
def other(database):
    """Another client of the same database."""
    engine = create_engine(database.url)
    yield engine
    engine.dispose()


def size(database, name):
    with database.read() as connection:
        return connection.scalar(text("SELECT size FROM things WHERE name = :name"), {"name": name})


def grow(connection, name="a"):
    connection.execute(text("UPDATE things SET size = size + 1 WHERE name = :name"), {"name": name})


@POSTGRES
def test_a_deadlock_with_the_users_own_transaction(database, other):
    """Both lock two rows in different orders; the server ends one, and both take effect."""
    tries, both = [], threading.Barrier(2, timeout=30)

    def unit(connection):
        tries.append(len(tries))
        grow(connection, "a")
        if len(tries) == 1:
            both.wait()
        grow(connection, "b")

    def theirs():
        with other.begin() as connection:
            connection.execute(text("SET LOCAL deadlock_timeout = '20s'"))  # ours is the one that is ended
            grow(connection, "b")
            both.wait()
            grow(connection, "a")

    thread = threading.Thread(target=theirs)
    thread.start()
    database.transact(unit, PATIENCE)
    thread.join()
    assert (size(database, "a"), size(database, "b")) == (3, 3)
    assert len(tries) > 1, "two, unless theirs was starved and ours waited too long for a lock as well"


@POSTGRES
def test_a_serialization_failure_under_repeatable_read(database, other):
    database.engine = database.engine.execution_options(isolation_level="REPEATABLE READ")
    tries = []

    def unit(connection):
        tries.append(connection.scalar(text("SELECT size FROM things WHERE name = 'a'")))
        if len(tries) == 1:
            with other.begin() as theirs:
                grow(theirs)
        grow(connection)

    database.transact(unit, PATIENCE)
    assert (size(database, "a"), tries) == (3, [1, 2])


@POSTGRES
def test_a_table_that_is_locked_for_a_while_is_waited_for_and_its_holder_named(database, other):
    errors = []

    def holding():
        with other.begin() as connection:
            connection.execute(text("SET LOCAL application_name = 'psql'"))
            connection.execute(text("ALTER TABLE things ADD COLUMN colour INTEGER"))
            held.set()
            assert released.wait(60)

    held, released = threading.Event(), threading.Event()
    thread = threading.Thread(target=holding)
    thread.start()
    assert held.wait(30)

    def report(error, seconds):
        errors.append(error)
        released.set()

    def unit(connection):
        connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
        grow(connection)

    database.transact(unit, Patience(seconds=60, report=report))
    thread.join()
    assert size(database, "a") == 2
    assert errors[0].meaning == "locked"
    assert "keeps it waiting for a lock: the table things is locked by session " in str(errors[0])
    assert " of postgres (psql) since " in str(errors[0])
    assert "\n" not in str(errors[0])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_another_program_writes_for_long_is_waited_for(database, other):
    """The driver waits for half a minute by itself; here it does not wait."""
    event.listen(database.engine, "checkout", lambda driver, *_: driver.execute("PRAGMA busy_timeout = 0"))
    holder = other.connect()
    holder.exec_driver_sql("BEGIN IMMEDIATE")
    errors = []

    def report(error, seconds):
        errors.append(str(error))
        holder.rollback()

    database.transact(grow, Patience(seconds=60, report=report))
    holder.close()
    assert size(database, "a") == 2
    assert [each.partition(": ")[0].endswith("keeps it waiting for a lock") for each in errors] == [True]


@POSTGRES
def test_all_connections_of_the_pool_are_ended_at_once(database, other):
    opened = [database.engine.connect() for _ in range(4)]
    for each in opened:
        each.close()
    tries = []

    def unit(connection):
        tries.append(1)
        if len(tries) <= 2:
            with other.connect() as operator:
                operator.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
                )
        grow(connection)

    database.transact(unit, PATIENCE)
    assert (size(database, "a"), len(tries)) == (2, 3)


@POSTGRES
@pytest.mark.parametrize("arrived", [True, False])
def test_a_commit_whose_answer_is_lost_takes_effect_once(database, arrived):
    """The server is asked for the fate of the commit: only a unit that did not arrive is repeated."""
    losses = [arrived]

    def lose(connection):
        if losses:
            if losses.pop():
                connection.dialect.do_commit(connection.connection)
            raise OperationalError("COMMIT", None, connection.dialect.loaded_dbapi.OperationalError("no answer"))

    event.listen(database.engine, "commit", lose)
    tries = []

    def unit(connection):
        tries.append(1)
        grow(connection)
        return len(tries)

    assert database.transact(unit, PATIENCE) == (1 if arrived else 2)
    assert size(database, "a") == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_commit_of_which_nothing_can_be_found_out_is_not_repeated(database):
    def lose(connection):
        raise OperationalError("COMMIT", None, connection.dialect.loaded_dbapi.OperationalError("no answer"))

    event.listen(database.engine, "commit", lose)
    tries = []
    with pytest.raises(DatabaseUnavailable, match="does not answer: no answer"):
        database.transact(tries.append, PATIENCE)
    assert len(tries) == 1


@POSTGRES
def test_a_proxy_that_ends_every_connection_in_the_middle(database, database_url):
    """After the last broken connection, the unit takes effect once."""
    port = database.url.port
    with SlowProxy(port, 0.0) as through, closing(Database(database_url.replace(f":{port}/", f":{through}/"))) as ours:
        tries = []

        def unit(connection):
            tries.append(1)
            grow(connection)
            if len(tries) < 4:
                connection.connection.dbapi_connection.close()
            grow(connection)

        ours.transact(unit, PATIENCE)
    assert (size(database, "a"), len(tries)) == (3, 4)


@POSTGRES
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("REVOKE ALL ON things FROM worker", "refuses a right: permission denied for table things. Grant it"),
        ("ALTER DATABASE {name} SET default_transaction_read_only = on", "cannot be written: cannot execute UPDATE"),
        ("ALTER ROLE worker PASSWORD 'other'", "refuses the connection: "),
    ],
)
def test_what_does_not_pass_is_said_at_once_in_its_own_sentence(database, trouble, said):
    with database.write() as connection:
        connection.execute(text("DROP ROLE IF EXISTS worker"))
        connection.execute(text("CREATE ROLE worker LOGIN PASSWORD 'planted-secret'"))
        connection.execute(text("GRANT ALL ON things TO worker"))
    with database.write() as connection:
        connection.execute(text(trouble.format(name=database.url.database)))
    url = database.url.set(username="worker", password="planted-secret")
    with (
        closing(Database(url.render_as_string(hide_password=False))) as theirs,
        pytest.raises(DatabaseUnavailable) as caught,
    ):
        theirs.transact(grow, PATIENCE)
    assert said in str(caught.value)
    assert "does not answer" not in str(caught.value)
    assert "planted-secret" not in str(caught.value)
    with database.engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ WRITE"))
        connection.execute(text("DROP OWNED BY worker"))
        connection.execute(text("DROP ROLE worker"))
        connection.commit()
