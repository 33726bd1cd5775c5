"""The tracking database: SQLite or Postgres behind one engine."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from import_pipeline.errors import DatabaseUnavailable

#: Seconds that a writer waits for another one's transaction, and for a connection on Postgres. Half of the default
#: lease: a heartbeat that waited so long still comes in time.
BUSY_TIMEOUT_SECONDS = 30
#: Postgres' code for a statement that writes where only reading is allowed: a replica, or a primary that became one.
READ_ONLY = "25006"

#: Under these names a connection keeps what is to be done once its transaction is committed, or is rolled back.
AFTERWARDS, OTHERWISE = "import_pipeline_afterwards", "import_pipeline_otherwise"


def when_committed(connection: Connection, call: Callable[[], None]) -> None:
    """Call it after the transaction of `Database.write()`; never, where that is rolled back."""
    connection.info.setdefault(AFTERWARDS, []).append(call)


def when_rolled_back(connection: Connection, call: Callable[[], None]) -> None:
    """Call it where the transaction of `Database.write()` is rolled back."""
    connection.info[OTHERWISE].callback(call)


class Database:
    """One engine. `write()` and `read()` give a connection inside a transaction that is committed at the end."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.url.get_backend_name() == "sqlite"

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write. On SQLite it takes the writer's place at once, so that it never has to give up.

        Raises DatabaseUnavailable when the server does not answer or the file cannot be written.
        """
        afterwards: list[Callable[[], None]] = []
        with ExitStack() as otherwise:
            with self._translated(), self.engine.begin() as connection:
                connection.info.update({AFTERWARDS: afterwards, OTHERWISE: otherwise})
                yield connection
            otherwise.pop_all()
        for call in afterwards:
            call()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: one moment's view, blocking nobody."""
        reader = self.engine.execution_options(read_only=True)
        with self._translated(), reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise DatabaseUnavailable(self._sentence(error)) from error
        except DBAPIError as error:
            # The bare class is what SQLite raises for a damaged file, and for one that is no database.
            bare = type(error) is DatabaseError
            if error.connection_invalidated or bare or getattr(error.orig, "pgcode", None) == READ_ONLY:
                raise DatabaseUnavailable(self._sentence(error)) from error
            raise

    def _sentence(self, last: DBAPIError) -> str:
        error = _first_failure(last)
        what = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        where = self.url.render_as_string(hide_password=True)
        return f"the tracking database {where} does not answer: {what}. Check DATABASE_URL and the server"


def _first_failure(error: DBAPIError) -> DBAPIError:
    """What the others followed from: SQLite gives a transaction up when the disk is full, then misses its savepoint."""
    found, each = error, error.__context__
    while each is not None:
        found = each if isinstance(each, OperationalError) else found
        each = each.__context__
    return found


def _sqlite_engine(url: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:" and not path.startswith("file:"):
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(f"the folder of {path} cannot be made: {error.strerror}") from error
    engine = create_engine(
        url,
        hide_parameters=True,  # an error quotes them, and they hold what people import
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and too late
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and the writer shall not block each other. The change itself does not wait for others, so it is retried.

    A database that cannot be written cannot be changed either; that it may still be read is not decided here.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres_engine(url: str) -> Engine:
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=4,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
        executemany_mode="values_plus_batch",  # else each row of an upsert or update is a round trip of its own
        connect_args={
            "connect_timeout": 10,
            "application_name": "import_pipeline",
            "options": f"-c timezone=UTC -c lock_timeout={BUSY_TIMEOUT_SECONDS}s",
        },
    )
