"""The result and the reports of a Dagster run that cannot do its work."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import httpx
import pytest

from import_pipeline import buckets
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.failures import sentence, table
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.ratelimit.protocol import StoreError
from import_pipeline.rules.status import ImportKind, ImportStatus, Trigger
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport, MemoryPermits
from import_pipeline.tracking import imports, shards, transitions
from import_pipeline.tracking.items import FailedItem
from import_pipeline_tests.support.imports import environment_of
from import_pipeline_tests.support.lifecycle import ADA, SimulatedInstallation, tracking_database

LIST = {"data": [{"id": 1}, {"id": 2}, {"id": 3}], "current_page": 1, "last_page": 1, "total": 3}
BLOCKED = httpx.Response(429, headers={"Retry-After": "3600"})
NOW = datetime.now(UTC)


class Bucketed(ItemsSource):
    """The example source in buckets. A run reports its items at its end, since they never fill a bucket."""

    partitions = buckets(500)


class Store(MemoryPermits):
    """A rate-limit store that fails after that many requests to the API."""

    def __init__(self, transport, lasts):
        super().__init__()
        self._transport, self._lasts = transport, lasts

    def exchange(self, ask):
        if len(self._transport.requests) >= self._lasts:
            raise StoreError("no answer")
        return super().exchange(ask)


def resource(answers, lasts=1000):
    """The API with canned responses, and a rate-limit store whose failure is not waited for."""
    transport = CannedTransport(answers)
    given = {"permits": Store(transport, lasts), "store_patience": timedelta(0)}

    class Canned(RateLimitedApiResource):
        def open(self, source, installation, patience=None):
            return open_api(source, installation.settings, installation.clock, transport, patience, **given)

    return Canned()


def detail(number):
    return {"id": number, "name": "n", "price": "1.00"}


WORKING = {"/api/items": LIST} | {f"/api/items/{number}": detail(number) for number in (1, 2, 3)}
PAUSING = {"/api/items": LIST} | {f"/api/items/{number}": BLOCKED for number in (1, 2, 3)}


@pytest.fixture
def simulation(home, monkeypatch):
    """The tracking database of the runs, at the present time."""
    for name, value in environment_of(home, "http://api.example", ITEMS_CONCURRENCY="1").items():
        monkeypatch.setenv(name, value)
    home.mkdir()
    with tracking_database(f"sqlite:///{home / 'import_pipeline.db'}") as database:
        yield SimulatedInstallation(database, NOW)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def run(instance, job, api, source=None, **options):
    """Return the job's success, its failures, and the partitions that it materialized."""
    definitions = build_import_definitions(source or ItemsSource(), api)
    result = definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False, **options)
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    entries = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    reported = {entry.dagster_event.partition for entry in entries if entry.dagster_event.partition}
    return result.success, failures, reported


def said(failures):
    [failure] = failures
    return failure.user_failure_data.description


def stalled(simulation, **asked):
    """Create a stalled import."""
    made = simulation.call(imports.create, new_import(simulation.source, Trigger.CLI, **asked), NOW)
    return simulation.call(transitions.start, made.id, ADA, NOW - timedelta(hours=1), None).id


def test_a_run_of_selected_items_fails_if_a_stalled_import_pauses_first(simulation, instance):
    dead = stalled(simulation)
    config = {"ops": {"discover_and_enrich_items": {"config": {"only": ["2"]}}}}
    success, failures, _ = run(instance, "import_items", resource(PAUSING), run_config=config)
    assert not success
    assert f"import {dead} " in said(failures)
    assert [row.kind for row in simulation.all()] == [ImportKind.FULL]


def test_a_run_of_everything_succeeds_if_a_stalled_selection_has_to_wait(simulation, instance):
    stalled(simulation, only=["2"])
    success, _, _ = run(instance, "import_items", resource(PAUSING))
    assert success
    assert [row.kind for row in simulation.all()] == [ImportKind.SELECTION]


@pytest.mark.parametrize(
    ("more_tags", "asked", "number"),
    [
        ({"dagster/parent_run_id": "a run"}, {}, 2),
        ({"dagster/parent_run_id": "a run", "dagster/retry_number": "1"}, {}, 1),
        ({"dagster/parent_run_id": "a run"}, {"only": ["2"]}, 1),
        ({}, {}, 1),
    ],
    ids=["by a person", "by Dagster", "of some items", "not at all"],
)
def test_a_run_of_an_ended_import_that_is_executed_again_imports_again(simulation, instance, more_tags, asked, number):
    """The sensor has tagged that run with its import, and a re-execution has its tags."""
    ended = simulation.call(imports.create, new_import(simulation.source, Trigger.SCHEDULE, **asked), NOW)
    simulation.begin(ended.id).end(ImportStatus.FAILED)
    tags = {"import_id": str(ended.id), **more_tags}
    success, _, _ = run(instance, "import_items", resource(WORKING), tags=tags)
    assert success is not bool(asked), "a run of chosen items says that it has not imported them"
    rows = simulation.all()
    assert len(rows) == number
    assert [(row.status, row.items_imported_count) for row in rows[1:]] == [("completed", 3)] * (number - 1)


def test_a_run_whose_store_fails_reports_all_stored_items(simulation, instance):
    success, failures, reported = run(instance, "import_items", resource(WORKING, lasts=3), Bucketed())
    assert not success
    assert "the rate-limit store does not answer" in said(failures)
    [row] = simulation.all()
    assert (row.items_imported_count > 0, reported) == (True, {"000000001-000000500"})


def test_a_shard_whose_store_fails_says_so_without_a_chain_of_errors(simulation, instance):
    made = simulation.call(imports.create, new_import(simulation.source, Trigger.CLI, shards=2), NOW)
    hand = simulation.begin(made.id)
    hand.discover("1", "2", "3")
    tags = {"import_id": str(made.id), "import_shard": "2"}
    success, failures, reported = run(instance, "enrich_items_shard", resource(WORKING, lasts=2), tags=tags)
    assert not success
    assert said(failures) == (
        "the rate-limit store of items does not answer, so nothing is sent: no answer. "
        "Other runs can claim the items of this run as soon as the store answers them"
    )
    assert failures[0].error.cause is None
    with simulation.database.read() as connection:
        assert [each.pid for each in shards.of_import(connection, made.id)] == [None]
    assert len(reported) == simulation.get(made.id).items_imported_count > 0


def failed_check(instance):
    """Return the latest result of the check that no item failed: its verdict, and the failed items that it lists."""
    key = dg.AssetCheckKey(dg.AssetKey("enriched_items"), "nothing_failed_for_good")
    [found] = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    evaluation = found.event.dagster_event.asset_check_evaluation_data
    listed = evaluation.metadata.get("failed_items")
    return evaluation.passed, [record.data["item"] for record in listed.records] if listed else []


def test_the_checks_stay_those_of_the_full_import_until_its_failed_items_are_imported(simulation, instance):
    missing = WORKING | {"/api/items/3": httpx.Response(422)}
    assert run(instance, "import_items", resource(missing))[0]
    assert failed_check(instance) == (False, ["3"])
    for only, answers, success, expected in (
        ("2", missing, True, (False, ["3"])),
        ("3", missing, False, (False, ["3"])),
        ("3", WORKING, True, (True, [])),
    ):
        config = {"ops": {"discover_and_enrich_items": {"config": {"only": [only]}}}}
        assert run(instance, "import_items", resource(answers), run_config=config)[0] is success
        assert failed_check(instance) == expected


def observed(instance):
    """Return the partitions with an observation of a failure, and its description."""
    found = instance.fetch_observations(dg.AssetKey("enriched_items"), limit=200).records
    return {each.partition_key: each.asset_observation.description for each in found if each.partition_key}


@pytest.mark.parametrize(("source", "partition"), [(ItemsSource, "3"), (Bucketed, "000000001-000000500")])
def test_a_failed_item_says_why_at_its_partition(simulation, instance, source, partition):
    run(instance, "import_items", resource(WORKING | {"/api/items/3": httpx.Response(422)}), source())
    [(key, text)] = observed(instance).items()
    assert (key, text.startswith("Failed: item 3: the API answers 422 Unprocessable Entity")) == (partition, True)


def test_a_run_of_selected_items_says_why_they_failed(simulation, instance):
    answers = WORKING | {"/api/items/3": httpx.Response(422)}
    run(instance, "import_items", resource(WORKING))
    config = {"ops": {"discover_and_enrich_items": {"config": {"only": ["3"]}}}}
    _, failures, _ = run(instance, "import_items", resource(answers), run_config=config)
    assert said(failures).startswith("item 3: the API answers 422 Unprocessable Entity")


def test_a_sentence_names_the_first_failed_items_and_counts_the_others():
    failed = [
        FailedItem(external_id=str(number), reason="404", failure_count=1, last_failed_at=None, next_attempt_at=None)
        for number in range(40)
    ]
    assert sentence(failed[:1], 1, 6) == "item 0: 404"
    assert sentence(failed[:2], 2, 6) == "2 items failed: item 0: 404; item 1: 404"
    assert sentence(failed, 50, 6) == (
        "50 items failed: item 0: 404; item 1: 404; item 2: 404; 47 more: `import-pipeline show 6` lists them"
    )
    assert len(table(failed).records) == 20
