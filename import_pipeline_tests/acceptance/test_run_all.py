"""`run --all` as a user runs it: every source, whatever the others do."""

import pytest

from import_pipeline_tests.acceptance.command_line import rows, tracking
from import_pipeline_tests.support.imports import demo_api

MODULE = '''
from import_pipeline.sources.items import ItemsSource, ImportedItem
from sqlalchemy.orm import DeclarativeBase
import os
from sqlalchemy import Column, Integer
from sqlalchemy.types import UserDefinedType
from sqlalchemy.orm import mapped_column
from import_pipeline import ImportableMixin
import httpx


class Base(DeclarativeBase):
    pass


def model_of(tenant):
    """A table of its own for each tenant."""

    class Row(ImportableMixin, Base):
        __tablename__ = f"items_of_{tenant}"
        id = mapped_column(Integer, primary_key=True)

        def detail_request(self):
            return httpx.Request("GET", f"/api/items/{self.external_id}")

        def populate(self, detail):
            pass

    return Row


class Tenant(ItemsSource):
    def __init__(self, tenant):
        super().__init__(name=f"items_{tenant}")
        self.model = model_of(tenant)

    def stub(self, item):
        return self.model(external_id=str(item["id"]))


class Odd(UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **options):
        raise RuntimeError("no such type")


SOURCES = [Tenant(name) for name in ("acme", "beta", "gamma")]
if "ODD" in os.environ:
    SOURCES[0].model.__table__.append_column(Column("odd", Odd()))
'''


@pytest.fixture
def tenants(folder, command):
    """Three tenants of one class, at the address of a demo API of seven items."""
    (folder / "tenants.py").write_text(MODULE)
    with demo_api(items=7, faults=("3=status:422",)) as url:
        command.environment = {
            "IMPORT_PIPELINE_SOURCES": "tenants:SOURCES",
            "ITEMS_BASE_URL": url,
            "ITEMS_LIMITS": "none",
        }
        yield url


def test_a_source_that_fails_or_cannot_be_configured_does_not_stop_the_others(tenants, command, home):
    wrong = {"ITEMS_ACME_LIMITS": "many", "ITEMS_BETA_BASE_URL": "http://127.0.0.1:9", "ITEMS_BETA_MAX_OUTAGE": "0.2"}
    done = command.run("run", "--all", "--json", status=4, **wrong).json
    assert [each["source"] for each in done["sources"]] == ["items_acme", "items_beta", "items_gamma"]
    assert (done["failed"], done["sources"][2]["import"]["items_imported_count"]) == (2, 6)
    assert done["message"] == (
        "3 sources: 0 completed, 1 incomplete or with failed items (items_gamma), 2 failed (items_acme, items_beta)."
    )
    assert "ITEMS_ACME_LIMITS" in done["sources"][0]["error"]
    assert {row["source"]: row["status"] for row in rows(tracking(home), "SELECT source, status FROM imports")} == {
        "items_beta": "failed",
        "items_gamma": "completed",
    }


def test_a_source_whose_table_raises_does_not_stop_the_others(tenants, command):
    done = command.run("run", "--all", "--json", status=4, ODD="1").json
    assert done["sources"][0]["error"] == "RuntimeError: no such type"
    assert [each["import"]["items_imported_count"] for each in done["sources"][1:]] == [6, 6]


def test_all_sources_run_in_turn_with_their_class_wide_settings(tenants, command, home):
    done = command.run("run", "--all", "--limit", "2")
    assert done.out.splitlines()[-1] == "3 sources: 3 completed."
    assert [line for line in done.err.splitlines() if " of 3" in line] == [
        "items_acme, 1 of 3",
        "items_beta, 2 of 3",
        "items_gamma, 3 of 3",
    ]
    assert len(rows(tracking(home), "SELECT * FROM items_of_acme")) == 2
    listed = command.run("list", "--json").json["imports"]
    assert {each["source"] for each in listed} == {"items_acme", "items_beta", "items_gamma"}
    planned = command.run("plan", "items_beta", "--json").json
    assert (planned["source"], planned["items_count"]) == ("items_beta", 7)


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "items_acme", "--all"], ["run", "--all", "--only", "3"], ["run", "--only", "3"]]
)
def test_a_run_needs_a_source_or_all(tenants, command, arguments):
    refused = command.run(*arguments, status=2)
    assert "--all" in refused.err
