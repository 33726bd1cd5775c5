"""The database itself: transactions, what it says when it cannot be reached, times, and the one running import."""

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, event, insert, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import address, upgrade
from import_pipeline.tracking.tables import UtcDateTime, imports
from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.database_servers import PASSWORD, PostgresServer
from import_pipeline_tests.support.parallel import run_in_parallel

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
TIMES = Table("times", MetaData(), Column("at", UtcDateTime))


@pytest.fixture
def database(database_url):
    database = Database(database_url)
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def opened():
    """Opens databases, and closes them in the end."""
    databases = []

    def opened(url):
        databases.append(Database(url))
        return databases[-1]

    yield opened
    for database in databases:
        database.close()


def an_import(source="items", **more):
    values = {"source": source, "importable_type": "things", "kind": "full", "trigger": "cli"}
    return insert(imports).values(**values, created_at=NOON, updated_at=NOON, **more)


def count(database):
    with database.read() as connection:
        return len(connection.execute(select(imports.c.id)).all())


def refusal(act):
    """The one sentence of the error that the act ends with."""
    with pytest.raises(DatabaseUnavailable) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_written_is_there_and_what_fails_is_not(database):
    with database.write() as connection:
        connection.execute(an_import())

    def half_written():
        with database.write() as connection:
            connection.execute(an_import())
            raise LookupError

    with pytest.raises(LookupError):
        half_written()
    assert count(database) == 1


class Killed(BaseException):
    """A kill, simulated."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Killed, LookupError])
def test_a_connection_whose_commit_was_interrupted_is_not_used_again(database, error):
    def interrupt(_):
        event.remove(database.engine, "commit", interrupt)
        raise error

    event.listen(database.engine, "commit", interrupt)
    with pytest.raises(error), database.write() as connection:
        connection.execute(an_import())
    assert count(database) == 0
    with database.write() as connection:
        connection.execute(an_import())
    assert count(database) == 1


def test_readers_and_a_writer_do_not_wait_for_each_other(database):
    with database.read() as reader:
        assert reader.execute(select(imports.c.id)).all() == []
        with database.write() as writer:
            writer.execute(an_import())
            assert count(database) == 0
    assert count(database) == 1


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        pytest.param({"status": "running"}, {"status": "running"}, True, id="two running imports of a source"),
        pytest.param({"status": "running"}, {"status": "running", "source": "b"}, False, id="of two sources"),
        pytest.param({"status": "running"}, {"status": "scheduled"}, False, id="one running, one waiting"),
        pytest.param({"status": "completed"}, {"status": "completed"}, False, id="two that have ended"),
        pytest.param({"slot_at": NOON}, {"slot_at": NOON}, True, id="two of one slot"),
        pytest.param({"slot_at": NOON}, {"slot_at": NOON, "source": "b"}, False, id="one slot of two sources"),
        pytest.param({"slot_at": NOON}, {"slot_at": NOON + timedelta(hours=3)}, False, id="of two slots"),
        pytest.param({}, {}, False, id="two outside the slots"),
    ],
)
def test_the_database_itself_keeps_imports_apart(database, first, second, refused):
    with database.write() as connection:
        connection.execute(an_import(**first))

    def the_second():
        with database.write() as connection:
            connection.execute(an_import(**second))

    if refused:
        with pytest.raises(IntegrityError):
            the_second()
    else:
        the_second()
    assert count(database) == (1 if refused else 2)


def _start(url):
    database = Database(url)
    try:
        with database.write() as connection:
            connection.execute(an_import(status="running"))
    except IntegrityError:
        return "refused"
    finally:
        database.close()
    return "started"


def test_of_ten_processes_that_start_an_import_at_once_one_does(database, database_url):
    assert sorted(run_in_parallel(10, _start, database_url)) == ["refused"] * 9 + ["started"]


ZONES = [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Kiritimati")]
SPAN = [datetime.fromisoformat(day) for day in ("1900-01-01", "2200-01-01")]
moments = st.datetimes(*SPAN, timezones=st.sampled_from(ZONES))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(moments=st.lists(moments, min_size=1, max_size=20))
def test_times_come_back_as_the_same_moments_in_utc(database, moments):
    with database.write() as connection:
        TIMES.create(connection, checkfirst=True)
        connection.execute(TIMES.delete())
        connection.execute(insert(TIMES), [{"at": moment} for moment in moments])
        found = list(connection.scalars(select(TIMES.c.at)))
        later = list(connection.scalars(select(TIMES.c.at).where(TIMES.c.at > moments[0])))
    expected = [moment.astimezone(UTC) for moment in moments]
    assert sorted(found) == sorted(expected)
    assert {moment.tzinfo for moment in found} == {UTC}
    assert sorted(later) == sorted(moment for moment in expected if moment > expected[0])


def test_a_time_without_a_zone_is_refused(database):
    with pytest.raises(StatementError, match="expected an aware datetime, got datetime"), database.write() as writer:
        writer.execute(an_import(slot_at=NOON.replace(tzinfo=None)))
    assert count(database) == 0


def test_an_absent_time_is_none_and_numbers_keep_their_kind(database):
    with database.write() as connection:
        row = connection.execute(an_import(total_sleep_seconds=Decimal("1.5")).returning(imports)).one()
    found = (row.slot_at, row.created_at, row.total_sleep_seconds, row.requests_count, row.checkpoint, row.metadata)
    assert found == (None, NOON, 1.5, 0, None, {})


def test_a_wrong_password_is_one_sentence_without_the_password(postgres_url, opened):
    database = opened(postgres_url.replace(PASSWORD, "planted-secret"))
    said = refusal(lambda: upgrade(database))
    assert said.startswith(f"the tracking database {address(database)} refuses the connection: ")
    assert 'password authentication failed for user "postgres"' in said
    assert said.endswith(". Check user and password in DATABASE_URL, and who may connect")
    assert "planted-secret" not in said + repr(database)


def test_a_server_that_is_not_there_is_one_sentence(opened):
    port = free_port()
    database = opened(f"postgresql+psycopg2://me:planted-secret@127.0.0.1:{port}/none")
    said = refusal(lambda: upgrade(database))
    assert "Connection refused" in said
    assert "planted-secret" not in said


def test_a_database_that_is_not_there_is_one_sentence(postgres_server, opened):
    database = opened(postgres_server.url("nowhere"))
    assert 'database "nowhere" does not exist' in refusal(lambda: upgrade(database))


def test_a_server_that_dies_is_one_sentence_and_comes_back(opened):
    with PostgresServer() as server:
        database = opened(server.create_database())
        upgrade(database)

        def while_it_dies():
            with database.write() as connection:
                connection.execute(an_import())
                server.kill()
                connection.execute(an_import())

        said = [refusal(while_it_dies), refusal(lambda: count(database))]
        assert all(one.startswith(f"the tracking database {address(database)} does not answer: ") for one in said)
        server.start()
        assert count(database) == 0


def test_what_a_vanished_process_held_is_free_within_seconds_and_a_vanished_server_is_noticed(postgres_url, opened):
    database = opened(postgres_url)
    for transaction in (database.write, database.read):
        with transaction() as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "10s"
            kept = connection.connection.dbapi_connection.get_dsn_parameters()
    assert (kept["keepalives_idle"], kept["keepalives_interval"], kept["keepalives_count"]) == ("15", "5", "3")


@pytest.mark.nightly
def test_a_transaction_that_its_process_left_open_gives_its_locks_back(postgres_url, opened):
    held, other = opened(postgres_url), opened(postgres_url)
    upgrade(held)
    with pytest.raises(DatabaseUnavailable):
        _forget_a_transaction(held, other)


def _forget_a_transaction(held, other):
    with held.write() as connection:
        connection.execute(text("LOCK TABLE imports"))
        with other.write() as waiting:  # for less than its own patience
            assert waiting.scalar(text("SELECT count(*) FROM imports")) == 0
        connection.execute(text("SELECT 1"))


def test_connections_that_a_restart_broke_are_replaced_unnoticed(opened):
    with PostgresServer() as server:
        database = opened(server.create_database())
        upgrade(database)
        with database.write() as connection:
            connection.execute(an_import())
        server.stop()
        server.start()
        assert count(database) == 1


@pytest.mark.parametrize("options", ["mode=ro", "immutable=1"])
def test_a_file_that_may_not_be_written_is_one_sentence(tmp_path, opened, options):
    writable = opened(f"sqlite:///{tmp_path / 'a.db'}")
    upgrade(writable)
    writable.close()
    database = opened(f"sqlite:///file:{tmp_path / 'a.db'}?{options}&uri=true")

    def write():
        with database.write() as connection:
            connection.execute(an_import())

    assert "readonly database" in refusal(write)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path, opened):
    (tmp_path / "a.db").write_text("my diary " * 100)
    database = opened(f"sqlite:///{tmp_path / 'a.db'}")
    assert "file is not a database" in refusal(lambda: upgrade(database))
    assert (tmp_path / "a.db").read_text() == "my diary " * 100


def test_a_folder_in_the_files_place_is_one_sentence(tmp_path, opened):
    database = opened(f"sqlite:///{tmp_path}")
    assert "unable to open database file" in refusal(lambda: upgrade(database))


def test_a_file_in_the_folders_place_is_one_sentence(tmp_path):
    (tmp_path / "home").write_text("not a folder")
    said = refusal(lambda: Database(f"sqlite:///{tmp_path / 'home' / 'a.db'}"))
    assert said.startswith(f"the folder of {tmp_path / 'home' / 'a.db'} cannot be created: ")


def test_the_folders_on_the_way_to_a_file_are_made(tmp_path, opened):
    upgrade(opened(f"sqlite:///{tmp_path / 'new' / 'folder' / 'a.db'}"))
    assert (tmp_path / "new" / "folder" / "a.db").is_file()


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, opened):
    database = opened(f"sqlite:///{tmp_path / 'a.db'}")
    upgrade(database)
    with database.write() as connection:
        connection.execute(an_import())

    def fill():
        with database.write() as connection:
            connection.execute(text("PRAGMA max_page_count = 1"))  # rounded up to what is used
            for _ in range(10_000):
                connection.execute(an_import(failure_reason="x" * 1000))

    assert "full" in refusal(fill)
    assert count(database) == 1


def test_a_copy_of_the_files_made_in_a_crash_is_whole(tmp_path, opened):
    database = opened(f"sqlite:///{tmp_path / 'a.db'}")
    upgrade(database)
    with database.write() as connection:
        connection.execute(an_import())
        for ending in ("", "-wal", "-shm"):
            shutil.copy(f"{tmp_path / 'a.db'}{ending}", f"{tmp_path / 'b.db'}{ending}")
    copy = opened(f"sqlite:///{tmp_path / 'b.db'}")
    upgrade(copy)
    assert (count(copy), count(database)) == (0, 1)


def test_the_text_of_a_database_omits_its_password():
    database = Database("postgresql+psycopg2://me:planted-secret@127.0.0.1:1/mine")
    assert repr(database) == "Database(postgresql+psycopg2://me:***@127.0.0.1:1/mine)"
