"""The servers that the other tests rely on: they start, restart, forget or keep, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from import_pipeline_tests.support.child_server import ServerMissing, package
from import_pipeline_tests.support.database_servers import PostgresServer, RedisServer


def scalar(url, statement):
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(statement)).scalar()
    finally:
        engine.dispose()


def test_every_test_gets_an_empty_postgres_database_of_its_own(postgres_server, postgres_url):
    other = postgres_server.create_database()
    assert other != postgres_url
    count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert (scalar(postgres_url, count), scalar(other, count)) == (0, 0)
    postgres_server.drop_database(other)


#: What a client can see of a database, apart from the contents of its catalogs.
SEEN = """
SELECT array_agg((nspname, pg_get_userbyid(nspowner), nspacl)::text ORDER BY nspname) FROM pg_namespace
 WHERE nspname !~ '^pg_t'
UNION ALL SELECT array_agg(relname::text ORDER BY relname) FROM pg_class WHERE oid >= 16384 AND relkind <> 't'
UNION ALL SELECT array_agg(typname::text ORDER BY typname) FROM pg_type WHERE oid >= 16384
UNION ALL SELECT array_agg(proname::text ORDER BY proname) FROM pg_proc WHERE oid >= 16384
"""


def seen(url):
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(SEEN)).scalars().all()
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE left_over (id serial PRIMARY KEY, at timestamp)",
        "CREATE SCHEMA shop; CREATE TYPE shop.mood AS ENUM ('low')",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP SCHEMA public",
        "GRANT ALL ON SCHEMA public TO PUBLIC",
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
        "ALTER DATABASE {} CONNECTION LIMIT 3",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    ],
)
def test_a_database_that_follows_a_dropped_one_is_as_new(statement, postgres_server, postgres_url):
    """A client that is still inside does not keep it."""
    expected, url = seen(postgres_url), postgres_server.create_database()
    name = url.rpartition("/")[2]
    visitor = create_engine(url)
    with visitor.connect() as inside:
        inside.execute(text("SELECT 1"))
        scalar(url, f"{statement.format(name)}; SELECT 1")
        postgres_server.drop_database(url)
        following = postgres_server.create_database()
        with pytest.raises(OperationalError):
            inside.execute(text("SELECT 1"))
    visitor.dispose()
    assert following != url
    assert seen(following) == expected
    assert scalar(following, "SHOW default_transaction_read_only") == "off"
    limited = "SELECT datacl IS NOT NULL OR datconnlimit <> -1 FROM pg_database WHERE datname = current_database()"
    assert not scalar(following, limited)
    assert scalar(following, "SELECT count(*) FROM pg_default_acl") == 0
    postgres_server.drop_database(following)


def test_postgres_keeps_its_data_over_a_kill():
    with PostgresServer() as server:
        url = server.create_database()
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept (x int)"))
        engine.dispose()
        server.kill()
        assert not server.answers()
        server.start()
        assert scalar(url, "SELECT count(*) FROM kept") == 0
        server.stop()
        server.start()
        assert scalar(url, "SELECT count(*) FROM kept") == 0


def test_the_redis_store_forgets_over_a_restart():
    with RedisServer() as server, redis.Redis.from_url(server.url()) as client:
        client.set("key", "value")
        server.kill()
        assert not server.answers()
        server.start()
        assert client.get("key") is None


@pytest.mark.parametrize("kind", ["PostgresServer", "RedisServer"])
def test_a_server_ends_with_its_test_process_even_when_that_is_killed(kind):
    program = (
        f"import time; from import_pipeline_tests.support.database_servers import {kind}\n"
        f"with {kind}() as server: print(server.pid, server.folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        pid, folder = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (Path(folder).exists() or Path(f"/proc/{pid}").exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_missing_server_fails_and_says_what_to_install():
    with pytest.raises(ServerMissing) as caught:
        package("no_such_server", "no-such-server")
    assert str(caught.value) == (
        "these tests need a real server: install no-such-server (`make install`, or pip install no-such-server)"
    )
