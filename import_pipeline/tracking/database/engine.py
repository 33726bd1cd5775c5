"""The tracking database: SQLite or Postgres behind one engine."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RootTransaction, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.rules.database_errors import ErrorKind
from import_pipeline.state_folder import create_folder
from import_pipeline.tracking.database.driver_errors import first_failure, is_trouble, meaning_of, sentence
from import_pipeline.tracking.database.lock_holders import holders
from import_pipeline.tracking.database.retrying import Patience, retried
from import_pipeline.tracking.database.server_time import ServerTime
from import_pipeline.tracking.database.sqlite_file import DatabaseFile
from import_pipeline.tracking.database.statements import STATEMENTS

T = TypeVar("T")

#: Seconds that a writer waits for another one's transaction, and for a connection on Postgres. Half of the default
#: lease: a heartbeat that waited this long is still in time.
BUSY_TIMEOUT_SECONDS = 30
#: The same for a unit that is tried again: between two tries, others (such as the heartbeat) get its locks.
RETRIED_TIMEOUT_SECONDS = 5
#: Seconds for which a process that vanished or froze within a transaction keeps its locks.
IDLE_TIMEOUT_SECONDS = 10
#: These values detect a vanished server after half a minute; the system's defaults are hours.
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}

#: Keys of a connection's `info`: calls to make after its transaction is committed, or rolled back.
AFTERWARDS, OTHERWISE = "import_pipeline_afterwards", "import_pipeline_otherwise"
#: Key of its `info` on Postgres: the server's id of the transaction.
MARK = "import_pipeline_mark"
#: Seconds before each check for the outcome of a commit whose answer was lost: the server may be restarting.
COMMIT_CHECKS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def when_committed(connection: Connection, call: Callable[[], None]) -> None:
    """Call it after the transaction of `Database.write()` is committed."""
    connection.info.setdefault(AFTERWARDS, []).append(call)


def when_rolled_back(connection: Connection, call: Callable[[], None]) -> None:
    """Call it if the transaction of `Database.write()` is rolled back."""
    connection.info[OTHERWISE].callback(call)


class Database:
    """The engine of a database. `write()` and `read()` yield a connection in a transaction that is then committed."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self._file = _file_of(url) if self.is_sqlite else None
        self.engine = _sqlite_engine(url, self._file) if self.is_sqlite else _postgres_engine(url)
        self.server_time = None if self.is_sqlite else ServerTime()

    @property
    def is_sqlite(self) -> bool:
        """True if the database is a file."""
        return self.url.get_backend_name() == "sqlite"

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    def transact(
        self, unit: Callable[[Connection], T], patience: Patience | None = None, *, read_only: bool = False
    ) -> T:
        """Run the unit in a transaction of its own and return its result; retry it after a passing failure.

        A unit may run several times; the writes of a failed try are rolled back. Raises DatabaseUnavailable once the
        patience is over, or immediately without one.
        """

        def attempt() -> T:
            with self._transaction(read_only=read_only, is_retried=patience is not None) as connection:
                return unit(connection)

        return attempt() if patience is None else retried(attempt, patience)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a transaction that may write. On SQLite it gets the write lock first, so that it cannot fail later.

        Raises DatabaseUnavailable if the server does not answer or the file cannot be written.
        """
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def migrate(self) -> Iterator[Connection]:
        """Yield a transaction that may rebuild tables: on SQLite without foreign keys, which would delete rows."""
        with self._transaction(keys=False) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a transaction that only reads: a snapshot that blocks no other transaction.

        All its statements read the state that the first one found: on SQLite by WAL, on Postgres by REPEATABLE READ.
        """
        with self._transaction(read_only=True) as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _transaction(
        self, *, read_only: bool = False, is_retried: bool = False, keys: bool = True
    ) -> Iterator[Connection]:
        afterwards: list[Callable[[], None]] = []
        engine = self.engine.execution_options(read_only=read_only, is_retried=is_retried, keys=keys)
        with ExitStack() as otherwise:
            with self._translated(), engine.connect() as connection:
                connection.info.update({AFTERWARDS: afterwards, OTHERWISE: otherwise})
                if not keys:
                    connection.detach()  # used once: foreign keys are switched off in no other transaction
                with connection.begin() as transaction:
                    if self.server_time is not None:
                        self.server_time.read(connection)
                    yield connection
                    if self._file is not None and not read_only:
                        self._file.check()
                    self._commit(connection, transaction)
            otherwise.pop_all()
        for call in afterwards:
            call()

    def _commit(self, connection: Connection, transaction: RootTransaction) -> None:
        mark = connection.info.get(MARK)
        try:
            transaction.commit()
        except BaseException as error:
            # It may still be inside its transaction: it must not commit later, nor return to the pool.
            connection.invalidate()
            if not isinstance(error, SQLAlchemyError) or not self._is_committed(mark, error):
                raise

    def _is_committed(self, mark: int | None, error: SQLAlchemyError) -> bool:
        """Return True if a commit whose answer was lost has succeeded, which Postgres knows by the transaction's id.

        Raises a permanent DatabaseUnavailable if the outcome stays unknown: then the unit must not be repeated, and
        the next process reads what is stored.
        """
        meaning = meaning_of(error)
        if meaning is not ErrorKind.GONE:
            return False
        unknown = DatabaseUnavailable(sentence(self.url, error, meaning))
        if mark is None:
            raise unknown from error
        for seconds in COMMIT_CHECKS:
            time.sleep(seconds)
            try:
                with self.engine.connect() as connection:
                    status = connection.scalar(text("SELECT txid_status(:mark)"), {"mark": mark})
            except SQLAlchemyError:
                continue
            if status in {"committed", "aborted"}:
                return bool(status == "committed")
        raise unknown from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as last:
            error = first_failure(last)
            meaning = meaning_of(error)
            if not is_trouble(meaning):
                raise
            locked = meaning is ErrorKind.LOCKED and not self.is_sqlite
            more = holders(self.engine, getattr(error, "statement", None)) if locked else None
            raise DatabaseUnavailable(
                sentence(self.url, error, meaning, more),
                may_pass=meaning.may_pass,
                meaning=meaning,
            ) from last


def _file_of(url: str) -> DatabaseFile | None:
    """Return the file, with its folder created; None for a database in memory or with a URI of its own."""
    path = make_url(url).database
    if not path or path == ":memory:" or path.startswith("file:"):
        return None
    try:
        create_folder(Path(path).parent)
    except OSError as error:
        raise DatabaseUnavailable(f"the folder of {path} cannot be created: {error.strerror}") from error
    return DatabaseFile(Path(path))


def _sqlite_engine(url: str, file: DatabaseFile | None) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # an error quotes them, and they hold imported data
        execution_options={"compiled_cache": STATEMENTS},
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: ConnectionPoolEntry) -> None:
        if file is not None:
            file.opened()
        connection.isolation_level = None  # the driver would begin the transaction itself, and too late
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "do_connect")
    def _check(*_: Any) -> None:
        if file is not None:
            file.check()  # before an empty file is created in its place

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("keys", True):
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # without effect inside a transaction
        read_only = options.get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL, so that readers and the writer do not block each other. Retry, since SQLite does not wait here.

    A database that cannot be written cannot be switched either; it may still be read.
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
    engine = create_engine(
        url,
        hide_parameters=True,
        execution_options={"compiled_cache": STATEMENTS},
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=4,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
        executemany_mode="values_plus_batch",  # otherwise each row of an upsert or update is a round trip
        connect_args={
            "connect_timeout": 10,
            "application_name": "import_pipeline",
            "client_encoding": "utf8",
            **KEEPALIVE,
        },
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Set per transaction: a connection pooler refuses startup options, and shares sessions.
        options = connection.get_execution_options()
        seconds = RETRIED_TIMEOUT_SECONDS if options.get("is_retried") else BUSY_TIMEOUT_SECONDS
        settings = (
            f"SET LOCAL lock_timeout = '{seconds}s'; SET LOCAL TIME ZONE 'UTC'; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_SECONDS}s'"
        )
        connection.info.pop(MARK, None)
        if options.get("read_only", False):
            # By default each statement reads what was committed before it, so related rows could contradict each other.
            settings = f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; {settings}"
        if options.get("read_only", True):
            connection.exec_driver_sql(settings)
        else:
            connection.info[MARK] = connection.exec_driver_sql(f"{settings}; SELECT txid_current()").scalar_one()

    return engine
