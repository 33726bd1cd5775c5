"""A batch in Dagster's event log on SQLite reads like single events written by Dagster's own class."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogStorage

from import_pipeline.defs.storage.classes import store_materializations
from import_pipeline.defs.storage.sqlite_events import BatchingEventLog
from import_pipeline_tests.support.parallel import run_in_parallel

ENRICHED, OTHER = dg.AssetKey("enriched_items"), dg.AssetKey("other")
RUNS = ("run-1", "run-2")


def materializations(numbers: Sequence[int], *, note: str) -> list[dg.AssetMaterialization]:
    """Return one materialization per item, and one of another asset."""
    made = [
        dg.AssetMaterialization(
            asset_key=ENRICHED,
            partition=f"item {number}",
            metadata={"import_id": 7, "note": note},
            tags={"dagster/data_version": f"{note}-{number}", "not/indexed": "x"},
        )
        for number in numbers
    ]
    return [*made[:2], dg.AssetMaterialization(asset_key=OTHER, metadata={"note": note}), *made[2:]]


class OneByOne(SqliteEventLogStorage):
    """Dagster's own class."""


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[list[EventLogStorage]]:
    """The product's log and Dagster's own, with the same events at the same times."""
    stored: list[EventLogStorage] = []
    with dg.DagsterInstance.ephemeral() as instance:
        for kind in (BatchingEventLog, OneByOne):
            log = kind(str(tmp_path / kind.__name__))
            log.register_instance(instance)
            stored.append(log)
        store(stored, RUNS[0], materializations(range(30), note="first"))
        store(stored, RUNS[1], materializations(range(20, 40), note="second"))
        yield stored


def store(logs: Sequence[EventLogStorage], run_id: str, made: Sequence[dg.AssetMaterialization]) -> None:
    """Write the entries of one batch into both, as the product creates them."""

    class Keeps:
        def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
            for log in logs:
                log.store_event_batch(events)

    class Instance:
        event_log_storage = Keeps()

    run = dg.DagsterRun(job_name="import_items", run_id=run_id)
    store_materializations(Instance(), run, "discover_and_enrich_items", made)  # type: ignore[arg-type]


def read(log: EventLogStorage) -> dict[str, Any]:
    """Return what Dagster's pages, sensors and commands read from an event log."""
    materialized = dg.DagsterEventType.ASSET_MATERIALIZATION
    [record] = log.get_asset_records([ENRICHED])
    fetched = log.fetch_materializations(dg.AssetRecordsFilter(asset_key=ENRICHED), limit=100)
    return {
        "keys": sorted(key.to_user_string() for key in log.all_asset_keys()),
        "asset": (record.storage_id, record.asset_entry.last_run_id, record.asset_entry.last_materialization),
        "partitions": log.get_materialized_partitions(ENRICHED),
        "latest": log.get_latest_storage_id_by_partition(ENRICHED, materialized),
        "of asset": [(each.storage_id, each.event_log_entry) for each in fetched.records],
        "of runs": [log.get_logs_for_run(run_id) for run_id in RUNS],
        "stats": [log.get_stats_for_run(run_id) for run_id in RUNS],
        "tags": log.get_event_tags_for_asset(ENRICHED),
        "tags of one": log.get_event_tags_for_asset(ENRICHED, filter_event_id=3),
        "by tag": log.get_latest_tags_by_partition(
            ENRICHED, materialized, ["dagster/data_version"], asset_partitions=["item 3", "item 25"]
        ),
    }


def test_a_batch_reads_as_its_events_one_by_one(logs: list[EventLogStorage]) -> None:
    ours, dagsters = map(read, logs)
    assert ours == dagsters
    assert ours["partitions"] == {f"item {number}" for number in range(40)}
    assert len(ours["of asset"]) == 50


def test_what_a_batch_cannot_hold_is_stored_one_by_one(logs: list[EventLogStorage]) -> None:
    """Two runs in one batch, and planned materializations: Dagster's own way serves them."""
    ours = logs[0]
    first, second = (ours.get_logs_for_run(run_id)[0] for run_id in RUNS)
    ours.store_event_batch([first, second])
    assert [len(ours.get_logs_for_run(run_id)) for run_id in RUNS] == [32, 22]


def test_wiping_and_deleting_reach_what_a_batch_wrote(logs: list[EventLogStorage]) -> None:
    for log in logs:
        log.delete_events(RUNS[1])
    ours, dagsters = map(read, logs)
    assert ours == dagsters
    for log in logs:
        log.wipe_asset(ENRICHED)
        assert log.get_materialized_partitions(ENRICHED) == set()


@pytest.mark.parametrize("shard", [RUNS[0], "index"])
def test_files_are_created_as_dagster_creates_them(logs: list[EventLogStorage], tmp_path: Path, shard: str) -> None:
    ours, dagsters = (described(tmp_path / type(log).__name__ / f"{shard}.db") for log in logs)
    assert ours == dagsters
    assert ours["mode"] == [("wal",)]


def described(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            "tables": connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall(),
            "revision": connection.execute("SELECT version_num FROM alembic_version").fetchall(),
            "mode": connection.execute("PRAGMA journal_mode").fetchall(),
        }


def test_several_processes_may_create_a_file_at_once(tmp_path: Path) -> None:
    assert run_in_parallel(4, _count, str(tmp_path)) == [0] * 4


def _count(folder: str) -> int:
    return len(BatchingEventLog(folder).get_logs_for_run("new"))


def test_a_file_that_has_tables_without_a_revision_is_left_to_dagster(tmp_path: Path) -> None:
    """Dagster's earlier versions left such files."""
    BatchingEventLog(str(tmp_path)).get_logs_for_run("old")
    for shard in ("old", "index"):
        with closing(sqlite3.connect(tmp_path / f"{shard}.db")) as connection, connection:
            connection.execute("DELETE FROM alembic_version")
    OneByOne(str(tmp_path)).get_logs_for_run("old")
    expected = described(tmp_path / "old.db")
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    assert BatchingEventLog(str(tmp_path)).get_logs_for_run("old") == []
    assert described(tmp_path / "old.db") == expected
