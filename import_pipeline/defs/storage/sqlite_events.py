"""Dagster's event log on SQLite, with batches.

For each event of a batch, Dagster's own class opens two databases, the run's and the index of all runs, and commits
both: about 15 ms of CPU. This class writes a batch in one transaction of each. The stored rows are equal. It uses
private parts of Dagster (see `classes`) and exports none of them.
"""

from collections.abc import Sequence

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

#: Kinds of events that can be batched: each needs only a row, its tags and the asset's latest event.
BATCHED = frozenset({DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION})


class BatchingEventLog(SqliteEventLogStorage):
    """An event log that writes many materializations or observations of a run in one transaction."""

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


class BatchingSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with the batching event log."""

    def __init__(self, base_dir: str, **options: object) -> None:
        super().__init__(base_dir, **options)  # type: ignore[arg-type]
        self._event_log_storage = BatchingEventLog(self._event_log_storage._base_dir)
