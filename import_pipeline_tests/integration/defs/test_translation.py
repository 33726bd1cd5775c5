"""Keys, groups and tags of assets: a source's attributes or a translator decide, and every event follows."""

import dagster as dg
import pytest

from import_pipeline.contracts import check_source
from import_pipeline.defs.build import build_import_definitions, join_definitions
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.defs.storage.event_retention import series_of
from import_pipeline.errors import ContractError
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.rules.partitions import buckets
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport, MemoryPermits
from import_pipeline_tests.support.imports import environment_of

LIST = {"data": [{"id": 1}, {"id": 2}], "current_page": 1, "last_page": 1, "total": 2}
ANSWERS = {"/api/items": LIST} | {f"/api/items/{key}": {"id": key, "name": "n", "price": "1"} for key in (1, 2)}


class Canned(RateLimitedApiResource):
    """The API with canned responses."""

    def open(self, source, installation, patience=None):
        transport = CannedTransport(ANSWERS)
        return open_api(source, installation.settings, installation.clock, transport, patience, permits=MemoryPermits())


class Placed(ItemsSource):
    """The example source with attributes for its assets."""

    asset_key_prefix = ("shop", "raw")
    group_name = "shop"
    tags = {"team": "crm"}


def moved(spec, source):
    return spec.replace_attributes(key=dg.AssetKey([source.name, spec.key.path[-1].partition("_")[0]]), group_name="x")


@pytest.fixture
def environment(home, monkeypatch):
    for name, value in environment_of(home, "http://api.example").items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("source", "translator", "listed", "detailed", "group"),
    [
        (ItemsSource, None, ["discovered_items"], ["enriched_items"], "items"),
        (Placed, None, ["shop", "raw", "discovered_items"], ["shop", "raw", "enriched_items"], "shop"),
        (ItemsSource, moved, ["items", "discovered"], ["items", "enriched"], "x"),
    ],
)
@pytest.mark.parametrize("partitions", ["items", "buckets"])
def test_every_event_of_an_import_has_the_key(environment, source, translator, listed, detailed, group, partitions):
    listed, detailed = dg.AssetKey(listed), dg.AssetKey(detailed)
    declared = source()
    if partitions == "buckets":
        declared.partitions = buckets(500)
    definitions = build_import_definitions(declared, api=Canned(), translator=translator)
    graph = definitions.resolve_asset_graph()
    assert set(graph.get_all_asset_keys()) == {listed, detailed}
    assert (graph.get(detailed).parent_keys, graph.get(detailed).group_name) == ({listed}, group)
    with dg.DagsterInstance.ephemeral() as instance:
        assert definitions.resolve_job_def("import_items").execute_in_process(instance=instance).success
        tracked = {dg.AssetKey("imports"), dg.AssetKey("import_item_statuses")}
        assert set(instance.all_asset_keys()) == {listed, detailed} | tracked
        partitioned = instance.get_materialized_partitions(detailed)
        assert partitioned == ({"1", "2"} if partitions == "items" else {"000000001-000000500"})
        [latest] = instance.fetch_materializations(detailed, limit=1).records
        assert latest.asset_materialization.tags is not None
        checks = [key for key in graph.asset_check_keys if key.asset_key == detailed]
        assert len(checks) == 4
        assert all(instance.get_latest_asset_check_evaluation_record(key) for key in checks)


def test_tags_of_the_source_are_on_both_assets(environment):
    graph = build_import_definitions(Placed()).resolve_asset_graph()
    wanted = {("team", "crm"), ("import_source", "items")}
    assert all(wanted <= graph.get(key).tags.items() for key in graph.get_all_asset_keys())


def test_a_translator_may_serve_all_sources(environment):
    graph = join_definitions([ItemsSource()], translator=moved).resolve_asset_graph()
    assert dg.AssetKey(["items", "enriched"]) in graph.get_all_asset_keys()


def test_events_are_pruned_under_the_key_of_the_source():
    assert {each.asset for each in series_of(Placed())} == {dg.AssetKey(["shop", "raw", "enriched_items"])}
    assert {each.asset for each in series_of("items")} == {dg.AssetKey("enriched_items")}


@pytest.mark.parametrize(
    ("translator", "sentence"),
    [
        (lambda spec, source: None, "a function that returns an AssetSpec, got None"),
        (
            lambda spec, source: spec.replace_attributes(key="one"),
            "two different keys for the two assets, got one",
        ),
        (lambda spec, source: spec.replace_attributes(partitions_def=None), "a spec with the partitions of the source"),
    ],
)
def test_a_spec_that_cannot_work_is_refused(environment, translator, sentence):
    with pytest.raises(ContractError, match=rf"items\.translator: expected {sentence}"):
        build_import_definitions(ItemsSource(), translator=translator)


@pytest.mark.parametrize(
    ("attribute", "value", "sentence"),
    [
        ("asset_key_prefix", "raw", r"a tuple of texts, such as \(\"crm\", \"raw\"\), got 'raw'"),
        ("asset_key_prefix", ("", "a"), "a tuple of texts"),
        ("group_name", "my group", "letters, digits and underscores, got 'my group'"),
        ("tags", ["a"], "a mapping of texts"),
        ("tags", {"a": 1}, "a mapping of texts"),
        ("owners", "team:data", "a tuple of texts"),
    ],
)
def test_attributes_are_checked_with_the_source(attribute, value, sentence):
    source = ItemsSource()
    setattr(source, attribute, value)
    with pytest.raises(ContractError, match=rf"items\.{attribute}: expected {sentence}"):
        check_source(source)
