"""Ids that a column refuses, merges or pads, and ids that a source changes: the items concerned fail with a reason."""

from contextlib import closing

import httpx
import pytest
from sqlalchemy import (
    CHAR,
    BigInteger,
    Integer,
    MetaData,
    String,
    Uuid,
    select,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from import_pipeline import run_import
from import_pipeline.contracts import ImportableMixin
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.user_rows import reading
from import_pipeline_tests.support.imported_table import ImportedTable, Row, text
from import_pipeline_tests.support.imports import counts, reasons, served, settings

IDS = {
    "a UUID": (Uuid(as_uuid=False), "6f1d4b3e-0000-4000-8000-00000000000a", "nope"),
    "a UUID object": (Uuid, "6f1d4b3e-0000-4000-8000-00000000000a", "{6f1d4b3e-0000-4000-8000-00000000000a}"),
    "a number": (BigInteger, "7", str(2**63)),
    "a number in another spelling": (BigInteger, "7", "007"),
    "a short text": (String(5), "ab-12", "ab-123"),
}


@pytest.mark.parametrize("case", IDS)
def test_an_id_that_the_column_cannot_hold_fails_its_item_wherever_it_comes_from(make_table, case):
    type_, good, bad = IDS[case]
    things = make_table({"external_id": mapped_column(type_, unique=True), "name": text()}, mixin=None)
    things.details = {good: {"name": "a"}, bad: {"name": "b"}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
        assert reasons(things.settings)[bad].startswith(f"the column external_id cannot hold {bad!r}: ")
    assert [row["name"] for row in things.rows().values()] == ["a"]
    assert counts(things.imported(only=[good, bad])) == ("completed", 2, 1, 0, 1)
    del things.details[bad]
    things.details["6f1d4b3e-0000-4000-8000-00000000000b" if isinstance(type_, Uuid) or type_ is Uuid else "8"] = {
        "name": "c"
    }
    del things.details[good]
    assert counts(things.imported(fresh=True)) == ("completed", 1, 1, 0, 0)
    assert [row["name"] for row in things.rows().values()] == ["c"]


def test_a_uuid_is_one_id_in_any_case(make_table):
    things = make_table({"external_id": mapped_column(Uuid(as_uuid=False), unique=True), "name": text()}, mixin=None)
    upper = "6F1D4B3E-0000-4000-8000-00000000000A"
    things.details = {upper: {"name": "a"}, upper.lower(): {"name": "a"}}
    assert counts(things.imported(only=[upper, upper.lower()])) == ("completed", 1, 1, 0, 0)
    del things.details[upper]
    assert counts(things.imported()) == ("completed", 1, 1, 0, 0)
    assert things.asked == [upper.lower()]


def test_two_ids_that_the_column_takes_for_one_do_not_share_a_row(home, tmp_path):
    url = f"sqlite:///{tmp_path / 'tracking.db'}"
    things = ImportedTable(
        home,
        url,
        {
            "external_id": mapped_column(String(255, collation="NOCASE"), unique=True),
            "name": text(),
        },
        mixin=None,
    )
    things.details = {"abc": {"name": "small"}, "ABC": {"name": "large"}, "d": {"name": "d"}}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 3, 2, 0, 1)
        assert "treats 'ABC' and 'abc' as equal" in reasons(things.settings)["ABC"]
        assert {key: row["name"] for key, row in things.rows().items()} == {"abc": "small", "d": "d"}


def test_an_id_that_a_column_pads_is_refused(home, postgres_url):
    things = ImportedTable(
        home,
        postgres_url,
        {"external_id": mapped_column(CHAR(5), unique=True), "name": text()},
        mixin=None,
    )
    things.details = {"12345": {"name": "a"}, "123": {"name": "b"}}
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert "treats '123' and '123  ' as equal" in reasons(things.settings)["123"]


@pytest.mark.parametrize("changed", ["1", "9", None])
def test_details_that_change_the_id_fail_their_item(make_table, changed):
    things = make_table({"name": text()})
    things.details = {"1": {"name": "a"}, "2": {"external_id": changed, "name": "b"}}
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert reasons(things.settings)["2"].startswith("Thing.populate changes external_id from '2' to ")
    assert {key: row["name"] for key, row in things.rows().items()} == {"1": "a", "2": None}


def test_a_primary_key_that_the_source_sets_is_stored(make_table):
    key = {"id": mapped_column(Integer, primary_key=True), "tenant": mapped_column(String(9), primary_key=True)}
    things = make_table(key | {"name": text()})
    things.stubs = {each: {"id": 100 + number, "tenant": "acme"} for number, each in enumerate("12")}
    things.details = {each: {"name": each} for each in "12"}
    for _ in range(2):
        assert counts(things.imported()) == ("completed", 2, 2, 0, 0), reasons(things.settings)
    assert [(row["id"], row["tenant"]) for row in things.rows().values()] == [(100, "acme"), (101, "acme")]
    things.stubs["2"]["tenant"] = "other"
    assert counts(things.imported()) == ("completed", 2, 1, 0, 1)
    assert "a stored key is never changed" in reasons(things.settings)["2"]


def test_an_id_that_no_row_can_have_is_not_found_and_ends_no_transaction(home, postgres_url):
    """A column of the table may have another type than the class declares: Postgres refuses such a lookup."""
    things = ImportedTable(home, postgres_url, {"name": text()})
    things.sql("ALTER TABLE things ALTER COLUMN external_id TYPE bigint USING external_id::bigint")
    things.sql("INSERT INTO things (external_id) VALUES (7)")
    with closing(Database(things.settings.database_url)) as database, database.write() as connection:
        assert list(reading.ids(connection, things.model, ["7", "nope"])) == ["7"]
        assert connection.scalar(select(1)) == 1


def test_an_id_with_a_line_break_in_a_header_fails_its_item_and_reaches_no_server(home):
    """Over a real connection: a value that would add a header is not sent at all."""
    asked = []

    async def page(request):
        data = [{"id": "1"}, {"id": "2\r\nX-Admin: yes"}, {"id": "3"}]
        return JSONResponse({"data": data, "current_page": 1, "last_page": 1})

    async def detail(request):
        asked.append((request.headers["x-id"], "x-admin" in request.headers))
        return JSONResponse({"name": "a", "price": "1.00"})

    class ByHeader(ItemsSource):
        def stub(self, item):
            return Chosen(external_id=item["id"])

        def version(self, item):
            return None

    base = type("Base", (DeclarativeBase,), {"metadata": MetaData()})

    class Chosen(Row, ImportableMixin, base):
        __tablename__ = "chosen"
        id = mapped_column(Integer, primary_key=True)
        name = text()

        def detail_request(self):
            return httpx.Request("GET", "/detail", headers={"X-Id": self.external_id})

    ByHeader.model = Chosen
    app = Starlette(routes=[Route("/api/items", page), Route("/detail", detail)])
    with served(app) as url:
        configured = settings(home, url)
        summary = run_import("items", settings=configured, sources=[ByHeader()])
    assert counts(summary) == ("completed", 3, 2, 0, 1)
    assert list(reasons(configured)) == ["2\r\nX-Admin: yes"]
    assert sorted(asked) == [("1", False), ("3", False)]
