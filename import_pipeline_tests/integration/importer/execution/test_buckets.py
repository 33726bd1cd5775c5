"""Items with permanent numbers, imported again by number, and reported to Dagster bucket by bucket."""

import dagster as dg
import pytest

from import_pipeline import buckets, run_import
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.rules.status import ItemStatus, Trigger
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking import imports, source_items
from import_pipeline.tracking.lists import selections
from import_pipeline_tests.support.imports import demo_api, environment_of, log, settings, tracking


class Bucketed(ItemsSource):
    """The example, ten items to a partition."""

    partitions = buckets(10)


def begun(simulation, **asked):
    return simulation.begin(
        simulation.call(imports.create, new_import(simulation.source, Trigger.CLI, **asked), simulation.now).id
    )


def numbered(simulation, *ids):
    simulation.call(source_items.assign_numbers, "items", ids)
    with simulation.database.read() as connection:
        return source_items.numbers_of(connection, "items", ids)


def test_items_keep_the_numbers_they_got_when_they_were_first_met(simulation):
    hand = begun(simulation)
    hand.discover("b", "a", "c")
    assert numbered(simulation, "b", "a") == {"b": 1, "a": 2}
    assert numbered(simulation, "c", "a", "unknown") == {"a": 2, "c": 3}
    hand.discover("d", "a")
    assert numbered(simulation, "a", "d", "b") == {"b": 1, "a": 2, "d": 4}


def test_items_are_chosen_by_their_numbers_and_items_marked_as_gone_left_out(simulation):
    first = begun(simulation)
    first.import_all(*"abcdefghij")
    numbered(simulation, *"abcdefghij")
    second = begun(simulation)
    second.import_all(*"abcdefghj")  # i is gone
    third = begun(simulation, numbers=[(2, 3), (8, 10)])
    simulation.call(selections.select_numbered, third.row, third.lease, third.row.options.numbers, simulation.now)
    assert simulation.get(third.row.id).items_count == 4
    assert sorted(each.external_id for each in third.claim()) == ["b", "c", "h", "j"]


def test_a_tally_counts_the_outcomes_of_the_items_with_given_numbers(simulation):
    hand = begun(simulation)
    hand.discover(*"abcdef")
    numbered(simulation, *"abcdef")
    taken = {each.external_id: each for each in hand.claim()}
    hand.succeed([taken["a"], taken["b"], taken["e"]])
    hand.fail([taken["c"]])
    with simulation.database.read() as connection:
        tally = source_items.bucket_result(connection, hand.row.id, "items", 1, 4)
    assert (tally, simulation.item_counts(hand.row.id)[ItemStatus.PROCESSING]) == (
        source_items.BucketResult(completed=2, failed=1),
        2,
    )


@pytest.fixture
def job(home, monkeypatch):
    """The job of the bucketed source against the demo API, and the instance that it runs in."""
    definitions = build_import_definitions(Bucketed())
    dg.Definitions.validate_loadable(definitions)
    with demo_api(items=25, faults=("7=status:422",)) as url, dg.DagsterInstance.ephemeral() as instance:
        for name, value in environment_of(home, url, ITEMS_PER_PAGE="8").items():
            monkeypatch.setenv(name, value)
        yield url, definitions.resolve_job_def("import_items"), instance


FIRST, SECOND, THIRD = "000000001-000000010", "000000011-000000020", "000000021-000000030"


def materialized(instance, run_id):
    """Return bucket -> (items imported, items failed), as the run has materialized them."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    found = [entry.dagster_event for entry in entries if entry.dagster_event.partition]
    figures = {event.partition: event.materialization.metadata for event in found}
    return {
        bucket: (metadata["items_imported"].value, metadata["items_failed"].value)
        for bucket, metadata in figures.items()
        if "items_failed" in metadata
    }


def test_a_source_in_buckets_is_reported_bucket_by_bucket_and_imported_again_by_one_or_by_ids(home, job):
    url, job, instance = job
    full = job.execute_in_process(instance=instance)
    assert full.success
    assert set(instance.get_dynamic_partitions("items_buckets")) == {FIRST, SECOND, THIRD}
    assert materialized(instance, full.run_id) == {FIRST: (9, 1), SECOND: (10, 0), THIRD: (5, 0)}
    assert instance.get_materialized_partitions(dg.AssetKey("enriched_items")) == {FIRST, SECOND, THIRD}

    before = len(log(url))
    selected = job.get_subset(asset_selection={dg.AssetKey("enriched_items")})
    again = selected.execute_in_process(instance=instance, partition_key=SECOND)
    assert again.success
    assert sorted(log(url)[before:]) == sorted(f"/api/items/{number}" for number in range(11, 21))

    before = len(log(url))
    config = {"ops": {"discover_and_enrich_items": {"config": {"only": ["3", "25"]}}}}
    chosen = job.execute_in_process(instance=instance, run_config=config)
    assert chosen.success
    assert sorted(log(url)[before:]) == ["/api/items/25", "/api/items/3"]
    assert materialized(instance, chosen.run_id) == {FIRST: (1, 0), THIRD: (1, 0)}


def test_the_same_import_without_dagster_numbers_the_items_too(home):
    with demo_api(items=12, faults=("5=status:422",)) as url:
        configured = settings(home, url, ITEMS_PER_PAGE="5")
        run_import("items", settings=configured, sources=[Bucketed()])
    with tracking(configured) as connection:
        found = source_items.numbers_of(connection, "items", [str(number) for number in range(1, 13)])
    assert found == {str(number): number for number in range(1, 13)}
