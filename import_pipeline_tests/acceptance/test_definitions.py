"""The Dagster definitions of a user's own source, listed in no setting, and of the tracking tables."""

from datetime import timedelta

import dagster as dg
import httpx
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.links import links_of
from import_pipeline.defs.resources import RateLimitedApiResource
from import_pipeline.defs.tracking_assets import tracking_specs
from import_pipeline.settings import load_settings
from import_pipeline_tests.acceptance.command_line import rows, stats, tracking
from import_pipeline_tests.support.forked_cli import serve


class Base(DeclarativeBase):
    """The declarative base of a user's tables."""


class Thing(ImportableMixin, Base):
    """A user's own row."""

    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[str | None]

    def detail_request(self):
        return httpx.Request("GET", f"/api/items/{self.external_id}")

    def populate(self, detail):
        self.price = detail["price"]


class Things(ImportSource):
    """A user's own source, listed in no setting."""

    name = "things"
    model = Thing
    owners = ("team:data", "ada@example.com")

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/api/items", params={"page": page, "perPage": per_page})

    def items(self, list_response):
        return list_response.json()["data"]

    def has_next_page(self, list_response):
        return list_response.json()["next_page_url"] is not None

    def stub(self, item):
        return Thing(external_id=str(item["id"]))


def test_a_users_own_source_becomes_definitions_with_a_configured_resource(home):
    with (
        serve("--items", "8", "--limits", "5/1 second", "--token", "mine") as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("THINGS_TOKEN", "mine")
        api = RateLimitedApiResource(base_url=url, limits="5/1 second", concurrency=3, timeout=10)
        definitions = build_import_definitions(Things(), api)
        dg.Definitions.validate_loadable(definitions)
        check_asset_descriptions(definitions)
        with dg.DagsterInstance.ephemeral() as instance:
            result = definitions.resolve_job_def("import_things").execute_in_process(instance=instance)
            assert result.success
            assert len(instance.get_materialized_partitions(dg.AssetKey("enriched_things"))) == 8
            tags = instance.get_run_by_id(result.run_id).tags
            assert (tags["import_source"], tags["import_id"], tags["import_made_by"]) == ("things", "1", result.run_id)
        assert (stats(url)["details"], stats(url)["rate_limited"]) == (8, 0)
    assert rows(tracking(home), "SELECT count(price) AS prices FROM things") == [{"prices": 8}]
    [row] = rows(tracking(home), "SELECT source, requests_count, rate_limit_sleeps_count FROM imports")
    assert (row["source"], row["requests_count"]) == ("things", 9)
    assert row["rate_limit_sleeps_count"] > 0


def check_asset_descriptions(definitions):
    """Check the assets' owners, freshness, panel links and table columns."""
    spec = definitions.resolve_assets_def("enriched_things").specs_by_key[dg.AssetKey("enriched_things")]
    listed = definitions.resolve_assets_def("discovered_things").specs_by_key[dg.AssetKey("discovered_things")]
    for each in (spec, listed):
        assert list(each.owners) == ["team:data", "ada@example.com"]
        assert each.freshness_policy == dg.FreshnessPolicy.time_window(
            warn_window=timedelta(hours=4), fail_window=timedelta(hours=7)
        )
        assert each.metadata["panel"].value == "http://127.0.0.1:3001/?source=things"
    columns = spec.metadata["dagster/column_schema"].columns
    assert [(column.name, column.type, column.constraints.nullable) for column in columns] == [
        ("id", "integer", False),
        ("price", "varchar", True),
        ("external_id", "varchar(255)", False),
    ]
    assert [column.name for column in columns if column.constraints.unique] == ["external_id"]


def test_every_column_of_the_tracking_tables_is_described_in_a_sentence(home):
    specs = tracking_specs(links_of(load_settings()))
    columns = [column for spec in specs for column in spec.metadata["dagster/column_schema"].columns]
    assert len(columns) > 50
    assert [each.name for each in columns if not (each.description or "").endswith(".")] == []
