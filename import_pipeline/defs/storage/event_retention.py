"""Drop what Dagster's event store no longer needs: the report of an item that a later report has replaced.

Dagster drops ticks by age, and a whole run with all its events; it has nothing for an event that is out of date. With a
partition per item each import adds an event per item. The newest event of each partition stays, by which Dagster tells
what is materialized and what is stale, and so does each that a check of the asset points at.
"""

import json
import logging
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetEventTagsTable
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.instance import open_instance
from import_pipeline.defs.storage.classes import translating_errors
from import_pipeline.defs.storage.postgres_schema import has_tables
from import_pipeline.settings import Settings

logger = logging.getLogger(__name__)

#: Events looked at in one step, and dropped in one transaction at most: an import that reports meanwhile waits for it.
STEP_SIZE = 2000
#: The sensor begins to look through all events anew so long after it began the last time.
RESCAN_INTERVAL = timedelta(days=1)
#: Rows named in one statement.
MAX_PARAMETERS = 500
#: A run's file is rewritten when so much of it is empty: no later event fills the gaps.
EMPTY_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Series:
    """Events of one kind of an asset, each of which replaces the one before: in its partition, or without any."""

    asset: str
    kind: dg.DagsterEventType
    partitioned: bool

    def has(self, table: Any) -> ColumnElement[bool]:
        """The condition that a row belongs to the series."""
        there = table.c.partition.is_not(None) if self.partitioned else table.c.partition.is_(None)
        found: ColumnElement[bool] = (
            (table.c.asset_key == dg.AssetKey(self.asset).to_string())
            & (table.c.dagster_event_type == self.kind.value)
            & there
        )
        return found


@dataclass(frozen=True, kw_only=True)
class RetentionStep:
    """The outcome of a step: how many events it dropped, and after which the next one looks; None: it was the last."""

    dropped: int
    after: int | None


def series_of(source: str) -> tuple[Series, ...]:
    """The series that grow by each import: the reports of its items or buckets, and of how far it is."""
    asset = names.enriched(source)
    return (
        Series(asset=asset, kind=dg.DagsterEventType.ASSET_MATERIALIZATION, partitioned=True),
        Series(asset=asset, kind=dg.DagsterEventType.ASSET_OBSERVATION, partitioned=False),
    )


def drop_superseded(instance: dg.DagsterInstance, sources: Iterable[str], before: datetime) -> int:
    """Drop all events of the sources that are older and replaced; returns how many.

    Each step is a transaction of its own. Runs that lose events stay, with their other events.
    """
    log = instance.event_log_storage
    if not isinstance(log, SqlEventLogStorage):
        return 0
    dropped = 0
    for series in (each for source in sources for each in series_of(source)):
        after: int | None = 0
        while after is not None:
            step = take_step(log, series, before, after)
            dropped, after = dropped + step.dropped, step.after
    return dropped


def drop_superseded_of(settings: Settings, sources: Iterable[str], before: datetime) -> int:
    """Do so in the instance that a command uses; where Dagster was never used, no storage of it is made.

    Raises UsageError, DatabaseUnavailable, SchemaError.
    """
    if not (os.environ.get("DAGSTER_HOME") or _is_used(settings)):
        return 0
    with open_instance(settings) as instance, translating_errors(settings):
        return drop_superseded(instance, sources, before)


def _is_used(settings: Settings) -> bool:
    return has_tables(settings) if settings.is_postgres else (settings.home / "dagster" / "storage").is_dir()


def drop_by_age(instance: dg.DagsterInstance, source: ImportSource, now: datetime) -> int:
    """Take one step of what the source's `prune_days` asks for; returns how many events it dropped.

    The place of the next step is kept in Dagster's storage. A step that fails is logged, and taken again.
    """
    log = instance.event_log_storage
    if source.prune_days is None or not isinstance(log, SqlEventLogStorage):
        return 0
    all_series, key = series_of(source.name), f"import_pipeline/events/{source.name}"
    try:
        cursors = instance.daemon_cursor_storage
        place = _stored_position(cursors.get_cursor_values({key}).get(key), now)
        if place["series"] >= len(all_series):
            return 0
        before = now - timedelta(days=source.prune_days)
        step = take_step(log, all_series[place["series"]], before, place["after"])
        place["series"], place["after"] = place["series"] + (step.after is None), step.after or 0
        cursors.set_cursor_values({key: json.dumps(place)})
    except (SQLAlchemyError, dg.DagsterError, OSError) as error:
        logger.warning("Old events of %s stay in Dagster's storage: %s", source.name, error)
        return 0
    return step.dropped


def _stored_position(kept: str | None, now: datetime) -> dict[str, Any]:
    """The place to look at next: the kept one, or the beginning if that is a day old, of the future or not readable."""
    try:
        place = json.loads(kept or "")
        age = now - datetime.fromisoformat(place["began"])
        is_read = int(place["series"]) >= 0 and int(place["after"]) >= 0
    except (ValueError, KeyError, TypeError):
        is_read, age = False, RESCAN_INTERVAL
    if is_read and timedelta(0) <= age < RESCAN_INTERVAL:
        return dict(place)
    return {"began": now.isoformat(), "series": 0, "after": 0}


def take_step(log: SqlEventLogStorage, series: Series, before: datetime, after: int) -> RetentionStep:
    """Look at the next events of the series; drop those that are older than that and replaced by a later one."""
    oldest = before.astimezone(UTC).replace(tzinfo=None)  # as Dagster writes it
    with log.index_connection() as connection:
        rows = _next_rows(connection, series, after)
        old = rows[: next((place for place, row in enumerate(rows) if row.timestamp >= oldest), len(rows))]
        checked = _checked(connection, series, old) if old else set()
    superseded = [row for row in old if row.superseded and row.id not in checked]
    if isinstance(log, SqliteEventLogStorage):
        superseded = _drop_from_run_files(log, series, superseded)
    if superseded:
        ids = [row.id for row in superseded]
        with log.index_transaction() as connection:
            for some in _chunks(ids):
                connection.execute(delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(some)))
                connection.execute(delete(Events).where(Events.c.id.in_(some)))
    return RetentionStep(dropped=len(superseded), after=old[-1].id if len(old) == STEP_SIZE else None)


def _next_rows(connection: Connection, series: Series, after: int) -> Sequence[Any]:
    """The next rows in the order of their IDs, each with the answer if a later one replaces it.

    Later by the clock too: two events of one moment are told apart by nothing in a run's file.
    """
    newer = Events.alias("newer")
    replaced = select(newer.c.id).where(
        series.has(newer), newer.c.id > Events.c.id, newer.c.timestamp > Events.c.timestamp
    )
    if series.partitioned:
        replaced = replaced.where(newer.c.partition == Events.c.partition)
    columns = (Events.c.id, Events.c.run_id, Events.c.partition, Events.c.timestamp)
    found = (
        # An expression, not a condition: for a condition Postgres may read the whole table.
        select(*columns, replaced.correlate(Events).exists().label("superseded"))
        .where(series.has(Events), Events.c.id > after)
        .order_by(Events.c.id)
        .limit(STEP_SIZE)
    )
    return connection.execute(found).all()


def _checked(connection: Connection, series: Series, rows: Sequence[Any]) -> set[int]:
    """The events among those that a check of the asset was made for."""
    checks = AssetCheckExecutionsTable.c
    found = select(checks.materialization_event_storage_id).where(
        checks.asset_key == dg.AssetKey(series.asset).to_string(),
        checks.materialization_event_storage_id.between(rows[0].id, rows[-1].id),
    )
    return set(connection.scalars(found))


def _drop_from_run_files(log: SqliteEventLogStorage, series: Series, rows: Sequence[Any]) -> list[Any]:
    """Drop the rows from the files of their runs, before the index forgets them; returns those that may leave it.

    A run without a file has been deleted. A file that does not answer keeps its events, and they stay in the index.
    """
    by_run: Mapping[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_run[row.run_id].append(row)
    dropped: list[Any] = []
    for run_id, some in by_run.items():
        path = Path(log.path_for_shard(run_id))
        try:
            if path.is_file():  # asking for it would make one
                with log.run_connection(run_id) as connection:
                    _drop_from_run_file(connection, series, some)
                _vacuum_if_sparse(path)
        except (DatabaseError, sqlite3.Error) as error:
            logger.warning("Old events stay in Dagster's %s: %s", path, error)
            continue
        dropped += some
    return dropped


def _drop_from_run_file(connection: Connection, series: Series, rows: Sequence[Any]) -> None:
    """Drop the same events; their IDs differ there. The newest row stays: its ID must not be given again."""
    newest = connection.scalar(select(func.max(Events.c.id)))
    same = delete(Events).where(series.has(Events), Events.c.id < newest)
    if series.partitioned:
        same = same.where(Events.c.partition == bindparam("of"), Events.c.timestamp == bindparam("at"))
        connection.execute(same, [{"of": row.partition, "at": row.timestamp} for row in rows])
        return
    for some in _chunks([row.timestamp for row in rows]):
        connection.execute(same.where(Events.c.timestamp.in_(some)))


def _vacuum_if_sparse(path: Path) -> None:
    """Give the file's empty pages back to the disk, if they are half of it."""
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        [empty] = connection.execute("PRAGMA freelist_count").fetchone()
        if empty >= pages * EMPTY_SHARE:
            connection.execute("VACUUM")


def _chunks(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[first : first + MAX_PARAMETERS] for first in range(0, len(values), MAX_PARAMETERS)]
