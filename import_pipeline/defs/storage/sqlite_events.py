"""Dagster's event log on SQLite, with batches, and with one engine for all of its files.

For each event of a batch, Dagster's own class opens two databases, the run's and the index of all runs, and commits
both: about 15 ms of CPU. This class writes a batch in one transaction of each. Dagster also makes an engine per
statement, which compiles it anew, and reads Alembic's revisions thrice per run. The stored rows are equal. It uses
private parts of Dagster (see `classes`) and exports none of them.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.sql import get_alembic_config
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, _event_logs_directory
from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect
from sqlalchemy.exc import OperationalError

#: Seconds that a writer waits for another one, as in Dagster.
BUSY_TIMEOUT_SECONDS = 30
#: Kinds of events that can be batched: each needs only a row, its tags and the asset's latest event.
BATCHED = frozenset({DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION})


class BatchingEventLog(SqliteEventLogStorage):
    """An event log that writes many materializations or observations of a run in one transaction."""

    def __init__(self, base_dir: str) -> None:
        self._shard = ""  #: the file that the engine opens next; set and used while `_db_lock` is held
        self._engine = create_engine("sqlite://", creator=self._open, poolclass=NullPool)
        super().__init__(base_dir)

    def _open(self) -> sqlite3.Connection:
        path = self.path_for_shard(self._shard)
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """Yield a connection to the file of a run, or to the index, in a transaction."""
        with self._db_lock:
            self._shard = shard
            if shard not in self._initialized_dbs:
                self._initdb(self._engine)
                self._initialized_dbs.add(shard)
            with self._engine.begin() as connection:
                yield connection

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        """Create the tables of a new file in one transaction; Dagster looks after every other file."""
        try:
            is_ready = _created(engine)
        except OperationalError:
            is_ready = False  # another process is creating them: Dagster waits for it
        if not is_ready:
            super()._initdb(engine, for_index_shard)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in their order. Batches of other kinds or of several runs go to Dagster's own method."""
        runs = {event.run_id for event in events}
        kinds = {event.dagster_event_type if event.is_dagster_event else None for event in events}
        if len(runs) != 1 or len(kinds) != 1 or not kinds <= BATCHED:
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(runs.pop()) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        latest = {row["asset_key"]: place for place, row in enumerate(rows)}
        with self.index_transaction() as connection:
            inserted = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            ids = list(connection.scalars(inserted, rows))
            self._store_asset_event_tags(connection, events, ids)
            for place in latest.values():  # an asset's row holds only its latest event
                self._store_asset_event(connection, events[place], ids[place])


def _created(engine: Engine) -> bool:
    """Return True if the file has tables of a known revision, or has got those of the newest one."""
    with engine.connect() as connection:
        if MigrationContext.configure(connection).get_current_revision() is not None:
            return True
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if inspect(connection).get_table_names():
            return False
        SqlEventLogStorageMetadata.create_all(connection)
        MigrationContext.configure(connection).stamp(_revisions(), "head")
        connection.commit()
    return True


@cache
def _revisions() -> ScriptDirectory:
    """Return Dagster's migrations: reading them takes 30 ms."""
    return ScriptDirectory.from_config(get_alembic_config(sqlite_event_log.__file__))


class BatchingSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with the batching event log."""

    def __init__(self, base_dir: str, **options: Any) -> None:
        events = BatchingEventLog(_event_logs_directory(base_dir))
        super().__init__(base_dir, **options)
        self._event_log_storage = events
