"""Replaced events leave Dagster's storage, and Dagster's view of the newest ones does not change."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.events import AssetObservationData
from dagster._core.loader import LoadingContextForTest
from sqlalchemy import text

from import_pipeline.cli import main
from import_pipeline.defs import names
from import_pipeline.defs.instance import open_instance
from import_pipeline.defs.storage import event_retention
from import_pipeline.defs.storage.classes import store_materializations
from import_pipeline.defs.storage.event_retention import drop_by_age, drop_superseded, drop_superseded_of
from import_pipeline.defs.storage.postgres_schema import has_tables
from import_pipeline.defs.translation import keys
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.rules.status import Trigger
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking import imports
from import_pipeline_tests.support.lifecycle import items_source

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=7)
ENRICHED, OTHER = dg.AssetKey("enriched_items"), dg.AssetKey("enriched_by_the_user")
MADE, SEEN = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION
PARTITIONS = dg.DynamicPartitionsDefinition(name=names.partitions("items", in_buckets=False))


@dg.asset(name="enriched_items", partitions_def=PARTITIONS)
def upstream() -> None:
    """An asset with the structure of a source's details."""


@dg.asset(deps=[upstream], partitions_def=PARTITIONS)
def downstream() -> None:
    """A user's asset that depends on it."""


@pytest.fixture(params=["sqlite", "postgres"])
def instance(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster's storage, as the settings choose it."""
    if request.param == "postgres":
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres_url"))
    monkeypatch.setenv("DAGSTER_HOME", str(Path(__file__).parents[4]))
    with open_instance(load_settings()) as opened:
        yield opened


class Stored:
    """Records the entries that the product writes, at the time that the test sets."""

    def __init__(self, instance: dg.DagsterInstance, at: datetime) -> None:
        self.event_log_storage, self._log, self._at = self, instance.event_log_storage, at

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store them, a microsecond after each other."""
        first = self._at.timestamp()
        self._log.store_event_batch([each._replace(timestamp=first + place / 1e6) for place, each in enumerate(events)])


def report(
    instance: dg.DagsterInstance,
    run_id: str,
    days_ago: float,
    items: Sequence[int],
    *,
    asset: dg.AssetKey = ENRICHED,
    tags: dict[str, str] | None = None,
) -> None:
    """Store a run that reports those items, that many days ago."""
    made = [
        dg.AssetMaterialization(
            asset_key=asset,
            partition=f"item {number}",
            metadata={"import": run_id},
            tags=tags
            or keys.materialization_tags(ItemsSource(), run_id) | {"dagster/data_version": f"{run_id}-{number}"},
        )
        for number in items
    ]
    run, at = dg.DagsterRun(job_name="import_items", run_id=run_id), NOW - timedelta(days=days_ago)
    store_materializations(Stored(instance, at), run, "discover_and_enrich_items", made)  # type: ignore[arg-type]


def observe(instance: dg.DagsterInstance, run_id: str, days_ago: float, done: int) -> None:
    """Store a run that observes its progress."""
    observation = dg.AssetObservation(asset_key=ENRICHED, metadata={"done": done})
    store_one(instance, run_id, days_ago - done / 1e6, SEEN, AssetObservationData(observation))


def store_one(instance: dg.DagsterInstance, run_id: str, days_ago: float, kind: dg.DagsterEventType, data: Any) -> None:
    """Store an event of that kind, that many days ago."""
    event = dg.DagsterEvent(event_type_value=kind.value, job_name="import_items", event_specific_data=data)
    instance.store_event(
        dg.EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=10,
            user_message="",
            run_id=run_id,
            timestamp=(NOW - timedelta(days=days_ago)).timestamp(),
            job_name="import_items",
            dagster_event=event,
        )
    )


def newest(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Return what Dagster's pages, sensors and commands derive from the newest event of each partition."""
    log = instance.event_log_storage
    ids = log.get_latest_storage_id_by_partition(ENRICHED, MADE)
    [record] = log.get_asset_records([ENRICHED])
    graph = dg.Definitions(assets=[upstream, downstream]).resolve_asset_graph()
    stale = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {
        "partitions": instance.get_materialized_partitions(ENRICHED),
        "ids": ids,
        "asset": (record.storage_id, record.asset_entry.last_run_id, record.asset_entry.last_materialization),
        "tags": log.get_latest_tags_by_partition(ENRICHED, MADE, ["dagster/data_version"]),
        "all tags": {each: log.get_event_tags_for_asset(ENRICHED, filter_event_id=each) for each in ids.values()},
        "events": {
            partition: log.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=ENRICHED, asset_partitions=[partition]), limit=1
            ).records
            for partition in ids
        },
        "observed": log.fetch_observations(ENRICHED, limit=1).records,
        "tried": log.get_latest_asset_partition_materialization_attempts_without_materializations(ENRICHED),
        "stale": [stale.get_status(asset.key, partition) for asset in (upstream, downstream) for partition in ids],
        "others": log.fetch_materializations(OTHER, limit=100).records,
    }


def events_of(instance: dg.DagsterInstance, run_id: str) -> list[str | None]:
    """Return the partitions on the run's page."""
    found = [each.dagster_event for each in instance.all_logs(run_id)]
    return [event.partition for event in found if event is not None]


def history(instance: dg.DagsterInstance, partition: str) -> list[str]:
    """Return the runs on the asset's page, the newest first."""
    asked = dg.AssetRecordsFilter(asset_key=ENRICHED, asset_partitions=[partition])
    return [each.run_id for each in instance.fetch_materializations(asked, limit=100).records]


def grown(instance: dg.DagsterInstance) -> None:
    """Four imports: three old ones and one of today. The last two items were imported only once."""
    for number, (days_ago, items) in enumerate([(30, range(6)), (20, range(4)), (8, range(4)), (0, range(3))]):
        report(instance, f"run-{number}", days_ago, items)
        report(instance, f"run-{number}", days_ago, items, asset=OTHER)
        observe(instance, f"run-{number}", days_ago, 1)
        observe(instance, f"run-{number}", days_ago, 2)
    report(
        instance,
        "run-2",
        8,
        range(2),
        asset=downstream.key,
        tags={
            "dagster/data_version": "x",
            "dagster/input_data_version/enriched_items": "run-2-0",
            "dagster/input_event_pointer/enriched_items": "1",
        },
    )


def test_what_is_newest_reads_as_before(instance: dg.DagsterInstance) -> None:
    grown(instance)
    before = newest(instance)
    assert before["partitions"] == {f"item {number}" for number in range(6)}
    # Of items 0 to 2 three are old and replaced, of item 3 two; of the observations 6.
    assert drop_superseded(instance, ["items"], BEFORE) == 3 * 3 + 2 + 6
    assert newest(instance) == before
    assert {each: history(instance, f"item {each}") for each in (0, 3, 5)} == {0: ["run-3"], 3: ["run-2"], 5: ["run-0"]}
    assert drop_superseded(instance, ["items"], BEFORE) == 0


def test_the_runs_keep_what_is_not_replaced(instance: dg.DagsterInstance) -> None:
    grown(instance)
    drop_superseded(instance, ["items"], BEFORE)
    theirs = [f"item {number}" for number in range(6)]
    last = [None] if _in_files(instance) else []  # a file keeps its last event, whose ID would be given again
    assert events_of(instance, "run-0") == ["item 4", "item 5", *theirs, *last]
    assert events_of(instance, "run-1") == [*theirs[:4], *last]
    assert events_of(instance, "run-3") == [*theirs[:3], *theirs[:3], None, None]


def test_no_tag_is_left_of_what_is_dropped(instance: dg.DagsterInstance) -> None:
    grown(instance)
    drop_superseded(instance, ["items"], BEFORE)
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        orphans = "SELECT count(*) FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)"
        assert connection.scalar(text(orphans)) == 0
        assert connection.scalar(text("SELECT count(*) FROM asset_event_tags")) > 0


def test_an_event_that_a_check_was_made_for_stays(instance: dg.DagsterInstance) -> None:
    report(instance, "run-0", 30, [1, 2])
    report(instance, "run-1", 1, [1, 2])
    [first, _] = instance.fetch_materializations(ENRICHED, limit=10, ascending=True).records[:2]
    target = AssetCheckEvaluationTargetMaterializationData(
        storage_id=first.storage_id, run_id="run-0", timestamp=first.timestamp
    )
    check = dg.AssetCheckEvaluation(
        asset_key=ENRICHED, check_name="all", passed=True, metadata={}, target_materialization_data=target
    )
    store_one(instance, "run-0", 30, dg.DagsterEventType.ASSET_CHECK_EVALUATION, check)
    assert drop_superseded(instance, ["items"], BEFORE) == 1
    assert (history(instance, "item 1"), history(instance, "item 2")) == (["run-1", "run-0"], ["run-1"])


def test_what_is_younger_or_of_the_same_moment_stays(instance: dg.DagsterInstance) -> None:
    report(instance, "run-0", 6, [1])
    report(instance, "run-1", 1, [1])
    report(instance, "run-2", 30, [2])
    report(instance, "run-2", 30, [2])  # the two are equal in the run's file
    assert drop_superseded(instance, ["items"], BEFORE) == 0
    assert len(history(instance, "item 2")) == 2
    report(instance, "run-3", 0, [2])
    assert (drop_superseded(instance, ["items"], NOW), history(instance, "item 2")) == (3, ["run-3"])


def test_more_than_a_step_goes_and_the_sensor_takes_one_at_each_tick(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_retention, "STEP_SIZE", 4)
    source = items_source()
    report(instance, "run-0", 30, range(10))
    report(instance, "run-1", 0, range(10))
    assert drop_by_age(instance, source, NOW) == 0  # `prune_days` is absent
    source.prune_days = 7
    assert [drop_by_age(instance, source, NOW) for _ in range(5)] == [4, 4, 2, 0, 0]
    report(instance, "run-2", -1, range(10))
    later = NOW + timedelta(hours=23)
    assert drop_by_age(instance, source, later) == 0  # it has looked today
    assert [drop_by_age(instance, source, NOW + timedelta(days=8)) for _ in range(3)] == [4, 4, 2]
    assert history(instance, "item 9") == ["run-2"]


def test_an_unreadable_position_starts_again(instance: dg.DagsterInstance) -> None:
    source = items_source()
    source.prune_days = 7
    report(instance, "run-0", 30, [1])
    future = '{"began": "2999-01-01T00:00:00+00:00", "series": 9, "after": 0}'
    for number, kept in enumerate(("", "[]", '{"began": 3}', future), start=1):
        report(instance, f"run-{number}", 30 - number, [1])
        instance.daemon_cursor_storage.set_cursor_values({"import_pipeline/events/items": kept})
        assert drop_by_age(instance, source, NOW) == 1
    assert history(instance, "item 1") == ["run-4"]


@pytest.fixture
def files(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Storage on SQLite, with a file for each run."""
    monkeypatch.setenv("DAGSTER_HOME", str(Path(__file__).parents[4]))
    with open_instance(load_settings()) as opened:
        yield opened


def path_of(instance: dg.DagsterInstance, run_id: str) -> Path:
    """The run's file."""
    return Path(instance.event_log_storage.path_for_shard(run_id))  # type: ignore[attr-defined]


def test_a_file_shrinks_and_none_is_created_for_a_deleted_run(files: dg.DagsterInstance) -> None:
    for run_id, days_ago in (("run-0", 30), ("run-1", 20), ("run-2", 0)):
        report(files, run_id, days_ago, range(300))
    path_of(files, "run-1").unlink()
    before = path_of(files, "run-0").stat().st_size
    assert drop_superseded(files, ["items"], BEFORE) == 600
    assert path_of(files, "run-0").stat().st_size < before / 2
    assert not path_of(files, "run-1").exists()


def test_an_unreadable_file_keeps_its_events_and_delays_no_other(
    files: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    for run_id, days_ago in (("run-0", 30), ("run-1", 20), ("run-2", 0)):
        report(files, run_id, days_ago, [1])
    path_of(files, "run-0").write_bytes(b"not a database" * 1000)
    assert drop_superseded(files, ["items"], BEFORE) == 1
    assert history(files, "item 1") == ["run-2", "run-0"]
    [warning] = [each.getMessage() for each in caplog.records if "stay" in each.getMessage()]
    assert "run-0.db" in warning


def test_no_file_is_created_if_dagster_was_never_used(database_url: str, home: Path) -> None:
    settings = load_settings({"DATABASE_URL": database_url, "IMPORT_PIPELINE_HOME": str(home)})
    assert drop_superseded_of(settings, ["items"], NOW) == 0
    assert not (home / "dagster").exists()
    if settings.is_postgres:
        assert not has_tables(settings)


def test_the_command_drops_events_too_and_says_so(
    files: dg.DagsterInstance, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_installation() as installation, installation.database.write() as connection:
        imports.create(connection, new_import(items_source(), Trigger.CLI), NOW)
    report(files, "run-0", 9000, [1, 2])
    report(files, "run-1", 8999, [1])
    monkeypatch.delenv("DAGSTER_HOME")  # the storage is there, which is enough
    with pytest.raises(SystemExit) as ended:
        main(["prune", "--days", "0", "--yes", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (ended.value.code, found["events"]) == (0, 1)
    assert "Deleted 1 replaced event of Dagster." in found["message"]
    assert (history(files, "item 1"), history(files, "item 2")) == (["run-1"], ["run-0"])


def _in_files(instance: dg.DagsterInstance) -> bool:
    return bool(instance.event_log_storage.is_run_sharded)
