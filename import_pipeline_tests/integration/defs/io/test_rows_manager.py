"""A downstream asset takes `enriched_items` as a parameter: rows by its annotation, for partitions just theirs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import TenantMixin, buckets
from import_pipeline.dagster import RateLimitedApiResource, RowBatches
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.io.rows import BATCH_SIZE, value_batches
from import_pipeline.defs.partitions import item_partitions
from import_pipeline.importer.installation import open_for
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.testing import CannedTransport, MemoryPermits
from import_pipeline_tests.support.imports import environment_of

pytestmark = pytest.mark.by_turns  # both kinds run the statements of these imports, each in some of the cases

IDS = ("1", "2", "3")
LIST = {"data": [{"id": int(key)} for key in IDS], "current_page": 1, "last_page": 1, "total": 3}
ANSWERS = {"/api/items": LIST} | {f"/api/items/{key}": {"id": key, "name": f"n{key}", "price": "1"} for key in IDS}


class Canned(RateLimitedApiResource):
    """The API with canned responses."""

    def open(self, source, installation, patience=None):
        transport = CannedTransport(ANSWERS)
        return open_api(source, installation.settings, installation.clock, transport, patience, permits=MemoryPermits())


class Base(DeclarativeBase):
    """The user's tables."""


class Thing(TenantMixin, Base):
    """A row of any tenant; the list has all of it."""

    __tablename__ = "things_of_rows"
    id: Mapped[int] = mapped_column(primary_key=True)


class Things(ItemsSource):
    """A tenant of a shared table."""

    name, model = "things", Thing


class Bucketed(ItemsSource):
    """The example source in buckets of two."""

    partitions = buckets(2)


@pytest.fixture
def instance(home, monkeypatch, database_url):
    for name, value in environment_of(home, "http://api.example", DATABASE_URL=database_url).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def project(*assets, source=None):
    imported = build_import_definitions(source or ItemsSource(), api=Canned())
    jobs = [dg.define_asset_job(each.key.path[-1], selection=[each]) for each in assets]
    return dg.Definitions.merge(imported, dg.Definitions(assets=assets, jobs=jobs))


def run(definitions, instance, job, **options):
    return definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False, **options)


def follower(annotation, seen, **options):
    """Return an asset that takes the rows in that form, and puts them into `seen`."""

    def after(enriched_items) -> None:
        seen.append(enriched_items)
        if not isinstance(enriched_items, list):
            seen[-1] = [row for batch in enriched_items for row in batch]

    if annotation is not None:
        after.__annotations__["enriched_items"] = annotation
    return dg.asset(**options)(after)


@pytest.mark.parametrize(
    "annotation",
    [None, Any, list, list[ImportedItem], Sequence, Iterator, Iterable, RowBatches],
    ids=str,
)
def test_the_annotation_decides_the_form_of_the_rows(instance, annotation):
    seen: list[Any] = []
    definitions = project(follower(annotation, seen))
    assert run(definitions, instance, "import_items").success
    assert run(definitions, instance, "after").success
    [rows] = seen
    assert [(row.external_id, row.name) for row in rows] == [("1", "n1"), ("2", "n2"), ("3", "n3")]
    assert {type(row) for row in rows} == {ImportedItem}


def test_an_import_and_its_follower_may_share_a_run(instance):
    seen: list[Any] = []
    definitions = project(follower(list[ImportedItem], seen))
    both = dg.define_asset_job("both", selection=["discovered_items", "enriched_items", "after"])
    assert run(dg.Definitions.merge(definitions, dg.Definitions(jobs=[both])), instance, "both").success
    assert [row.external_id for row in seen[0]] == list(IDS)


@pytest.mark.parametrize(
    ("source", "key", "last", "expected"),
    [
        (ItemsSource, "2", "2", ["2"]),
        (ItemsSource, "1", "2", ["1", "2"]),
        (Bucketed, "000000003-000000004", "000000003-000000004", ["3"]),
        (Bucketed, "000000001-000000002", "000000003-000000004", ["1", "2", "3"]),
    ],
)
def test_partitions_get_their_own_rows(instance, source, key, last, expected):
    seen: list[Any] = []
    downstream = follower(list[ImportedItem], seen, partitions_def=item_partitions(source()))
    definitions = project(downstream, source=source())
    assert run(definitions, instance, "import_items").success
    if key == last:
        assert run(definitions, instance, "after", partition_key=key).success
    else:
        tags = {"dagster/asset_partition_range_start": key, "dagster/asset_partition_range_end": last}
        assert run(definitions, instance, "after", tags=tags).success
    assert [row.external_id for row in seen[0]] == expected


def test_a_table_larger_than_a_batch_is_read_in_batches_and_again(instance):
    with open_for(ItemsSource()) as (installation, _), installation.database.write() as connection:
        rows = [{"external_id": str(number), "name": "n"} for number in range(BATCH_SIZE + 1)]
        connection.execute(insert(ImportedItem), rows)
    batches = RowBatches(ItemsSource(), None)
    assert [len(batch) for batch in batches] == [BATCH_SIZE, 1]
    assert [len(batch) for batch in batches] == [BATCH_SIZE, 1]
    few = RowBatches(ItemsSource(), [str(number) for number in range(5)] + ["unknown"])
    assert [row.external_id for batch in few for row in batch] == ["0", "1", "2", "3", "4"]
    assert list(RowBatches(ItemsSource(), [])) == []


def test_a_tenant_gets_the_rows_of_its_own_in_a_table_of_several(instance):
    acme, beta = (Things(name=name) for name in ("acme", "beta"))
    with open_for(acme) as (installation, _), installation.database.write() as connection:
        for external_id, tenant in [("1", "acme"), ("1", "beta"), ("2", "beta")]:
            connection.execute(insert(Thing).values(external_id=external_id, tenant=tenant))
    for source, keys, expected in [
        (acme, None, [("acme", "1")]),
        (beta, None, [("beta", "1"), ("beta", "2")]),
        (acme, ["1", "2"], [("acme", "1")]),
    ]:
        assert [(row.tenant, row.external_id) for batch in RowBatches(source, keys) for row in batch] == expected
        values = [row._mapping for batch in value_batches(source, keys) for row in batch]
        assert [(row["tenant"], row["external_id"]) for row in values] == expected


@pytest.mark.parametrize("annotation", [int, dict, ImportedItem])
def test_another_annotation_fails_with_those_that_work(instance, annotation):
    definitions = project(follower(annotation, []))
    assert run(definitions, instance, "import_items").success
    result = run(definitions, instance, "after")
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    sentence = "enriched_items: expected a parameter annotated as list, Iterator, RowBatches, pandas.DataFrame, polars"
    assert sentence in failure.error.cause.message
