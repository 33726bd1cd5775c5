"""Delete events from Dagster's event log that a later event has replaced.

Dagster deletes ticks by age, and whole runs with their events, but no single events. With a partition per item each
import adds an event per item. The newest event of each partition stays, since Dagster derives the materialized and the
stale partitions from it. Events that an asset check refers to stay, too.
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
from import_pipeline.defs.instance import open_instance
from import_pipeline.defs.storage.classes import translating_errors
from import_pipeline.defs.storage.postgres_schema import has_tables
from import_pipeline.defs.translation.keys import enriched
from import_pipeline.settings import Settings
from import_pipeline.tracking.database.dialect import chunks

logger = logging.getLogger(__name__)

#: Events read in one step, and deleted in one transaction at most: an import that reports meanwhile waits for it.
STEP_SIZE = 2000
#: Time between two passes of the sensor over all events.
RESCAN_INTERVAL = timedelta(days=1)
#: A run's SQLite file is rewritten if this share of it is empty, since later events do not reuse the space.
EMPTY_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Series:
    """Events of one kind and asset, each of which replaces the one before: in its partition, or without a partition."""

    asset: dg.AssetKey
    kind: dg.DagsterEventType
    partitioned: bool

    def has(self, table: Any) -> ColumnElement[bool]:
        """Return the condition that a row belongs to the series."""
        there = table.c.partition.is_not(None) if self.partitioned else table.c.partition.is_(None)
        found: ColumnElement[bool] = (
            (table.c.asset_key == self.asset.to_string()) & (table.c.dagster_event_type == self.kind.value) & there
        )
        return found


@dataclass(frozen=True, kw_only=True)
class RetentionStep:
    """The outcome of a step. `after` is the id at which the next step begins; None after the last step."""

    dropped: int
    after: int | None


def series_of(source: ImportSource | str) -> tuple[Series, ...]:
    """Return the series that grow with each import: reports of items or buckets, and observations of the progress."""
    asset = enriched(source)
    return (
        Series(asset=asset, kind=dg.DagsterEventType.ASSET_MATERIALIZATION, partitioned=True),
        Series(asset=asset, kind=dg.DagsterEventType.ASSET_OBSERVATION, partitioned=False),
    )


def drop_superseded(instance: dg.DagsterInstance, sources: Iterable[ImportSource | str], before: datetime) -> int:
    """Delete all replaced events of the sources that are older than `before`. Return their number.

    Each step is a transaction of its own. The runs stay, with their other events.
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


def drop_superseded_of(settings: Settings, sources: Iterable[ImportSource | str], before: datetime) -> int:
    """Delete replaced events in the instance that a command uses. Return their number.

    Creates no storage if Dagster was never used. Raises UsageError, DatabaseUnavailable, SchemaError.
    """
    if not (os.environ.get("DAGSTER_HOME") or _is_used(settings)):
        return 0
    with open_instance(settings) as instance, translating_errors(settings):
        return drop_superseded(instance, sources, before)


def _is_used(settings: Settings) -> bool:
    return has_tables(settings) if settings.is_postgres else (settings.home / "dagster" / "storage").is_dir()


def drop_by_age(instance: dg.DagsterInstance, source: ImportSource, now: datetime) -> int:
    """Take one step of the retention that the source's `prune_days` sets. Return the number of deleted events.

    Dagster's storage keeps the position of the next step. A failed step is logged and repeated.
    """
    log = instance.event_log_storage
    if source.prune_days is None or not isinstance(log, SqlEventLogStorage):
        return 0
    all_series, key = series_of(source), f"import_pipeline/events/{source.name}"
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
    """Return the position of the next step: the start if the stored one is unreadable, a day old or in the future."""
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
    """Read the next events of the series; delete those older than `before` that a later event replaced."""
    oldest = before.astimezone(UTC).replace(tzinfo=None)  # in Dagster's own format
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
            for some in chunks(ids):
                connection.execute(delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(some)))
                connection.execute(delete(Events).where(Events.c.id.in_(some)))
    return RetentionStep(dropped=len(superseded), after=old[-1].id if len(old) == STEP_SIZE else None)


def _next_rows(connection: Connection, series: Series, after: int) -> Sequence[Any]:
    """Return the next rows by id, each with a flag `superseded`.

    The replacing event must be later by the clock, too: in a run's file, events differ only by their times.
    """
    newer = Events.alias("newer")
    replaced = select(newer.c.id).where(
        series.has(newer), newer.c.id > Events.c.id, newer.c.timestamp > Events.c.timestamp
    )
    if series.partitioned:
        replaced = replaced.where(newer.c.partition == Events.c.partition)
    columns = (Events.c.id, Events.c.run_id, Events.c.partition, Events.c.timestamp)
    found = (
        # Selected as a column: as a condition Postgres may scan the whole table for it.
        select(*columns, replaced.correlate(Events).exists().label("superseded"))
        .where(series.has(Events), Events.c.id > after)
        .order_by(Events.c.id)
        .limit(STEP_SIZE)
    )
    return connection.execute(found).all()


def _checked(connection: Connection, series: Series, rows: Sequence[Any]) -> set[int]:
    """Return the ids of those rows that a check of the asset refers to."""
    checks = AssetCheckExecutionsTable.c
    found = select(checks.materialization_event_storage_id).where(
        checks.asset_key == series.asset.to_string(),
        checks.materialization_event_storage_id.between(rows[0].id, rows[-1].id),
    )
    return set(connection.scalars(found))


def _drop_from_run_files(log: SqliteEventLogStorage, series: Series, rows: Sequence[Any]) -> list[Any]:
    """Delete the rows from the SQLite files of their runs first. Return the rows that may leave the index.

    A run without a file has been deleted. If a file cannot be read, its events stay there and in the index.
    """
    by_run: Mapping[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_run[row.run_id].append(row)
    dropped: list[Any] = []
    for run_id, some in by_run.items():
        path = Path(log.path_for_shard(run_id))
        try:
            if path.is_file():  # connecting would create one
                with log.run_connection(run_id) as connection:
                    _drop_from_run_file(connection, series, some)
                _vacuum_if_sparse(path)
        except (DatabaseError, sqlite3.Error) as error:
            logger.warning("Replaced events stay in Dagster's %s: %s", path, error)
            continue
        dropped += some
    return dropped


def _drop_from_run_file(connection: Connection, series: Series, rows: Sequence[Any]) -> None:
    """Delete the events, whose ids differ here. The newest row stays: SQLite would assign its id again."""
    newest = connection.scalar(select(func.max(Events.c.id)))
    same = delete(Events).where(series.has(Events), Events.c.id < newest)
    if series.partitioned:
        same = same.where(Events.c.partition == bindparam("of"), Events.c.timestamp == bindparam("at"))
        connection.execute(same, [{"of": row.partition, "at": row.timestamp} for row in rows])
        return
    for some in chunks([row.timestamp for row in rows]):
        connection.execute(same.where(Events.c.timestamp.in_(some)))


def _vacuum_if_sparse(path: Path) -> None:
    """Return the file's empty pages to the disk if they are half of it."""
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        [empty] = connection.execute("PRAGMA freelist_count").fetchone()
        if empty >= pages * EMPTY_SHARE:
            connection.execute("VACUUM")
