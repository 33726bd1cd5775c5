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
from import_pipeline.tracking.database.driver_errors import first_failure, is_trouble, meaning_of, sentence
from import_pipeline.tracking.database.lock_holders import holders
from import_pipeline.tracking.database.retrying import Patience, repeated
from import_pipeline.tracking.database.server_clock import ServerTime
from import_pipeline.tracking.database.sqlite_file import DatabaseFile

T = TypeVar("T")

#: Seconds that a writer waits for another one's transaction, and for a connection on Postgres. Half of the default
#: lease: a heartbeat that waited so long still comes in time.
BUSY_TIMEOUT_SECONDS = 30
#: The same where the work is tried again: between two tries others, the heartbeat among them, get what it holds.
RETRIED_TIMEOUT_SECONDS = 5
#: A process that vanished or was frozen within a transaction holds its locks no longer than that.
IDLE_TIMEOUT_SECONDS = 10
#: A server that vanished is noticed after half a minute; the system's own defaults are hours.
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}

#: Under these names a connection keeps what is to be done once its transaction is committed, or is rolled back.
AFTERWARDS, OTHERWISE = "import_pipeline_afterwards", "import_pipeline_otherwise"
#: Under this one, on Postgres, the number by which the server knows the transaction.
MARK = "import_pipeline_mark"
#: Seconds before each look for the outcome of a commit whose answer was lost: a server may just be restarting.
COMMIT_LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


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
        self._file = _file_of(url) if self.is_sqlite else None
        self.engine = _sqlite_engine(url, self._file) if self.is_sqlite else _postgres_engine(url)
        self.server_time = None if self.is_sqlite else ServerTime()

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.url.get_backend_name() == "sqlite"

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    def transact(
        self, unit: Callable[[Connection], T], patience: Patience | None = None, *, read_only: bool = False
    ) -> T:
        """The unit's result: carried out in a transaction of its own, again where the database only refused the moment.

        A unit may be carried out several times, each time with nothing of the time before. Raises DatabaseUnavailable
        once the patience is over, at once where there is none.
        """

        def attempt() -> T:
            with self._transaction(read_only=read_only, is_retried=patience is not None) as connection:
                return unit(connection)

        return attempt() if patience is None else repeated(attempt, patience)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write. On SQLite it takes the writer's place at once, so that it never has to give up.

        Raises DatabaseUnavailable when the server does not answer or the file cannot be written.
        """
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def migrate(self) -> Iterator[Connection]:
        """A transaction that may make tables anew: on SQLite without foreign keys, by which one would lose its rows."""
        with self._transaction(keys=False) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: one moment's view, blocking nobody."""
        with self._transaction(read_only=True) as connection:
            yield connection

    def close(self) -> None:
        """Give all connections back."""
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
                    connection.detach()  # used once: what is switched off in it is off in no other transaction
                with connection.begin() as transaction:
                    if self.server_time is not None:
                        self.server_time.look(connection)
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
        """Whether a commit whose answer was lost was carried out after all, as Postgres knows by the transaction's id.

        Raises DatabaseUnavailable, as one that does not pass, where that cannot be found out: nothing may be repeated
        then, and whoever continues reads what is stored.
        """
        meaning = meaning_of(error)
        if meaning is not ErrorKind.GONE:
            return False
        unknown = DatabaseUnavailable(sentence(self.url, error, meaning))
        if mark is None:
            raise unknown from error
        for seconds in COMMIT_LOOKS:
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
    """The file, its folder made; None for one that is named by an address of its own."""
    path = make_url(url).database
    if not path or path == ":memory:" or path.startswith("file:"):
        return None
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(f"the folder of {path} cannot be made: {error.strerror}") from error
    return DatabaseFile(Path(path))


def _sqlite_engine(url: str, file: DatabaseFile | None) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # an error quotes them, and they hold what people import
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: ConnectionPoolEntry) -> None:
        if file is not None:
            file.opened()
        connection.isolation_level = None  # the driver would begin by itself, and too late
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "do_connect")
    def _look(*_: Any) -> None:
        if file is not None:
            file.check()  # before an empty file is made in its place

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("keys", True):
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # without effect inside a transaction
        read_only = options.get("read_only", False)
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
    engine = create_engine(
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
            "client_encoding": "utf8",
            **KEEPALIVE,
        },
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Set for the transaction only: a connection pooler refuses startup options, and hands sessions to others.
        options = connection.get_execution_options()
        seconds = RETRIED_TIMEOUT_SECONDS if options.get("is_retried") else BUSY_TIMEOUT_SECONDS
        settings = (
            f"SET LOCAL lock_timeout = '{seconds}s'; SET LOCAL TIME ZONE 'UTC'; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_SECONDS}s'"
        )
        connection.info.pop(MARK, None)
        if options.get("read_only", True):
            connection.exec_driver_sql(settings)
        else:
            connection.info[MARK] = connection.exec_driver_sql(f"{settings}; SELECT txid_current()").scalar_one()

    return engine
