"""Rights, clock and read-only state, as a database reports them."""

import time

import pytest
from sqlalchemy import text

from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.database.health import is_superuser, is_writable, missing_rights, server_seconds
from import_pipeline.tracking.schema import upgrade

SECRET = "planted-secret"


@pytest.fixture
def clerk(postgres_url):
    """A role that may connect and nothing else, to a database with tables; and their owner's database."""
    owner = Database(postgres_url)
    upgrade(owner)
    with owner.write() as connection:
        connection.execute(text("DROP ROLE IF EXISTS clerk"))
        connection.execute(text(f"CREATE ROLE clerk LOGIN PASSWORD '{SECRET}'"))
    database = Database(postgres_url.replace("postgres:only-for-tests", f"clerk:{SECRET}"))
    yield database, owner
    database.close()
    with owner.write() as connection:
        connection.execute(text("DROP OWNED BY clerk"))
        connection.execute(text("DROP ROLE clerk"))
    owner.close()


def test_what_a_role_may_not_do_is_named(clerk):
    database, owner = clerk
    assert missing_rights(owner) == []
    assert "UPDATE on imports" in missing_rights(database)
    with owner.write() as connection:
        connection.execute(text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk"))
        connection.execute(text("REVOKE DELETE ON import_events FROM clerk"))
    assert missing_rights(database) == ["DELETE on import_events"]
    assert [is_superuser(each) for each in clerk] == [False, True]


def test_a_read_only_database_is_recognized(clerk):
    database, owner = clerk
    assert is_writable(database)
    with owner.write() as connection:
        connection.execute(text("ALTER ROLE clerk SET default_transaction_read_only = on"))
    database.close()  # new connections see it
    assert not is_writable(database)


def test_the_clock_of_the_server_is_read(postgres_url):
    database = Database(postgres_url)
    assert server_seconds(database) == pytest.approx(time.time(), abs=5)
    database.close()


def test_a_file_has_no_clock_and_no_roles(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'tracking.db'}")
    upgrade(database)
    assert (server_seconds(database), missing_rights(database), is_superuser(database), is_writable(database)) == (
        None,
        [],
        False,
        True,
    )
    database.close()
