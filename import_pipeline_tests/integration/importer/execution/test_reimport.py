"""Imports of items that were imported before: versions, ETags, removed items, a fresh start."""

import sqlite3
from contextlib import asynccontextmanager, closing

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from import_pipeline import ImportableMixin, run_import
from import_pipeline.errors import LeaseLost
from import_pipeline.importer.control.retries import retry
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.rules.status import Trigger
from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.tracking import imports, transitions
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.tables import imports as imports_table
from import_pipeline.tracking.tables import source_items
from import_pipeline.tracking.workers import Worker
from import_pipeline_tests.support import http
from import_pipeline_tests.support.imports import counts, demo_api, log, rows, served, settings, tracking


class Asked:
    """The requests that the demo API has got since the last reading."""

    def __init__(self, url):
        self.url = url
        self.seen = 0

    def details(self):
        paths = log(self.url)[self.seen :]
        self.seen += len(paths)
        return sorted(path.rpartition("/")[2] for path in paths if path.count("/") > 2)


def change(file, statement):
    """Change the demo API's items while it serves them."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def test_only_what_has_changed_is_asked_for_again(home, database_url, tmp_path):
    file = tmp_path / "api.db"
    with demo_api(items=250, database=file) as url:
        configured, asked = settings(home, url, DATABASE_URL=database_url), Asked(url)
        assert counts(run_import("items", settings=configured)) == ("completed", 250, 250, 0, 0)
        assert len(asked.details()) == 250
        assert counts(run_import("items", settings=configured)) == ("completed", 250, 0, 250, 0)
        assert (len(log(url)), asked.details()) == (253 + 3, [])
        change(file, "UPDATE api_items SET name = 'new', updated_at = '2030-01-01T00:00:00Z' WHERE id IN (7, 77, 177)")
        summary = run_import("items", settings=configured)
        assert (counts(summary), summary.requests_count) == (("completed", 250, 3, 247, 0), 6)
        assert asked.details() == ["177", "7", "77"]
        stored = rows(configured)
    assert sorted(number for number, row in stored.items() if row["name"] == "new") == ["177", "7", "77"]
    assert len(stored) == 250


def test_an_item_whose_import_failed_or_whose_row_was_deleted_is_not_unchanged(home, tmp_path):
    file = tmp_path / "api.db"
    with demo_api(items=20, database=file, faults=("5=status:422*1",)) as url:
        configured, asked = settings(home, url), Asked(url)
        assert counts(run_import("items", settings=configured)) == ("completed", 20, 19, 0, 1)
        change(configured.home / "import_pipeline.db", "DELETE FROM imported_items WHERE external_id = '8'")
        asked.details()
        assert counts(run_import("items", settings=configured)) == ("completed", 20, 2, 18, 0)
        assert asked.details() == ["5", "8"]


def test_a_retry_asks_for_what_has_failed_only_and_the_next_import_for_nothing(home):
    with demo_api(items=20, faults=("5=status:422*1", "6=garbage*1")) as url:
        configured, asked = settings(home, url), Asked(url)
        first = run_import("items", settings=configured)
        assert counts(first) == ("completed", 20, 18, 0, 2)
        asked.details()
        with open_installation(configured) as installation:
            made = retry(installation, first.import_id).row
            summary = execute_import(ImportRun(installation=installation, source=installation.source("items")), made.id)
        assert counts(summary) == ("completed", 2, 2, 0, 0)
        assert asked.details() == ["5", "6"]
        assert counts(run_import("items", settings=configured)) == ("completed", 20, 0, 20, 0)


class Tagged(ItemsSource):
    """The items of a server with ETags and without versions."""

    conditional = True

    def stub(self, item):
        return ImportedItem(external_id=str(item["id"]))

    def version(self, item):
        return None


class TaggedServer:
    """Three items, each with a tag of its revision; `asked` keeps what was asked with which tag, and the answer."""

    def __init__(self):
        self.revisions = {"1": 1, "2": 1, "3": 1}
        self.asked = []
        self.app = Starlette(routes=[Route("/api/items", self.list), Route("/api/items/{id}", self.detail)])

    def list(self, request):
        data = [{"id": number} for number in self.revisions]
        return JSONResponse({"data": data, "current_page": 1, "last_page": 1, "total": len(data)})

    def detail(self, request):
        number = request.path_params["id"]
        tag = f'"{self.revisions[number]}"'
        given = request.headers.get("If-None-Match")
        self.asked.append((number, given, 304 if given == tag else 200))
        if given == tag:
            return Response(status_code=304, headers={"ETag": tag})
        name = f"revision {self.revisions[number]}"
        return JSONResponse({"id": number, "name": name, "price": "1.00"}, headers={"ETag": tag})

    def taken(self):
        asked, self.asked = sorted(self.asked), []
        return asked


def test_a_tag_costs_a_request_but_what_it_finds_unchanged_is_counted_as_that(home, database_url):
    server = TaggedServer()
    with served(server.app) as url:
        configured = settings(home, url, DATABASE_URL=database_url)

        def imported(**options):
            return counts(run_import("items", settings=configured, sources=[Tagged()], **options))

        assert imported() == ("completed", 3, 3, 0, 0)
        assert server.taken() == [("1", None, 200), ("2", None, 200), ("3", None, 200)]
        server.revisions["2"] = 2
        assert imported() == ("completed", 3, 1, 2, 0)
        assert server.taken() == [("1", '"1"', 304), ("2", '"1"', 200), ("3", '"1"', 304)]
        assert rows(configured)["2"]["name"] == "revision 2"
        assert rows(configured)["1"]["name"] == "revision 1"
        assert imported(only=["1", "2"]) == ("completed", 2, 0, 2, 0)
        assert server.taken() == [("1", '"1"', 304), ("2", '"2"', 304)]
        assert imported(fresh=True) == ("completed", 3, 3, 0, 0)
        assert {given for _, given, _ in server.taken()} == {None}


def known(configured):
    """Return (source, external id) -> True if it is marked as gone."""
    with tracking(configured) as connection:
        found = connection.execute(select(source_items)).all()
    return {(row.source, row.external_id): row.gone_at is not None for row in found}


def test_an_item_that_left_the_list_is_marked_and_its_row_stays(home, tmp_path):
    file = tmp_path / "api.db"
    with demo_api(items=20, database=file) as url:
        configured = settings(home, url, ITEMS_PER_PAGE="6")
        run_import("items", settings=configured)
        change(file, "DELETE FROM api_items WHERE id IN (3, 4)")
        run_import("items", settings=configured, limit=5)
        assert not any(known(configured).values()), "an import of five items does not know"
        assert counts(run_import("items", settings=configured)) == ("completed", 18, 0, 18, 0)
    assert sorted(number for (_, number), is_gone in known(configured).items() if is_gone) == ["3", "4"]
    assert len(rows(configured)) == 20
    assert rows(configured)["3"]["price"] is not None


class Base(DeclarativeBase):
    """Another user's tables."""


class Copy(ImportableMixin, Base):
    """The same items in another table."""

    __tablename__ = "copies"
    key: Mapped[int] = mapped_column(primary_key=True)

    def detail_request(self):
        return httpx.Request("GET", f"/api/items/{self.external_id}")

    def populate(self, detail):
        pass


class Copies(ItemsSource):
    """The same list under another name, within the same limits."""

    name = "copies"
    api = "items"
    model = Copy

    def stub(self, item):
        return Copy(external_id=str(item["id"]))


def kept(configured, imports):
    """Every row of the first imports, and whatever the other source has."""
    where = f"WHERE import_id <= {imports}"
    with tracking(configured) as connection:
        return [
            connection.exec_driver_sql(statement).all()
            for statement in (
                f"SELECT * FROM imports WHERE id <= {imports} ORDER BY id",
                f"SELECT * FROM import_item_statuses {where} ORDER BY id",
                f"SELECT * FROM import_events {where} ORDER BY id",
                "SELECT * FROM source_items WHERE source = 'copies' ORDER BY external_id",
                "SELECT * FROM copies ORDER BY key",
            )
        ]


def test_a_fresh_import_fetches_all_anew_and_deletes_at_its_end_what_the_list_no_longer_has(
    home, database_url, tmp_path
):
    limits, file = "30/2 second", tmp_path / "api.db"
    with demo_api(items=20, limits=limits, database=file) as url:
        shared = {"DATABASE_URL": database_url, "ITEMS_LIMITS": limits, "COPIES_LIMITS": limits}
        configured = settings(home, url, **shared, COPIES_BASE_URL=url)

        def imported(source, **options):
            return run_import(source, settings=configured, sources=[ItemsSource(), Copies()], **options)

        assert counts(imported("copies")) == ("completed", 20, 20, 0, 0)
        assert counts(imported("items")) == ("completed", 20, 20, 0, 0)
        change_all = "UPDATE imported_items SET description = 'mine'"
        with closing(Database(configured.database_url)) as database, database.write() as connection:
            connection.exec_driver_sql(change_all)
        change(file, "DELETE FROM api_items WHERE id IN (3, 4)")
        before = kept(configured, 2)
        fresh = imported("items", fresh=True)
        seen = http.get(f"{url}/_stats").json()
    assert counts(fresh) == ("completed", 18, 18, 0, 0)
    query = f"SELECT message FROM import_events WHERE import_id = {fresh.import_id} AND action = 'rows_forgotten'"
    with tracking(configured) as connection:
        [(sentence,)] = connection.exec_driver_sql(query).all()
    assert sentence == "Deleted 2 rows that the list no longer has, as requested."
    assert kept(configured, 2) == before
    assert (len(before[-1]), len(rows(configured))) == (20, 18)
    assert not {"3", "4"} & set(rows(configured))
    assert "mine" not in {row["description"] for row in rows(configured).values()}
    assert (seen["requests"], seen["rate_limited"]) == (61, 0), "what was sent before still counts"


def test_a_fresh_import_that_was_taken_over_does_not_delete_what_its_successor_has_imported(home, database_url):
    with demo_api(items=5) as url:
        configured = settings(home, url, DATABASE_URL=database_url)
        run_import("items", settings=configured)
        with open_installation(configured) as installation:
            source, database, clock = installation.source("items"), installation.database, installation.clock

            @asynccontextmanager
            async def connect_late():
                """Frozen until another worker has taken the import over."""
                with database.write() as connection:
                    found = imports.get(connection, row.id)
                    successor = Worker(id="successor", host="elsewhere", pid=1)
                    transitions.take_over(connection, found, successor, clock.now(), None)
                async with open_api(source, configured, clock) as api:
                    yield api

            # As left by a process that was killed before it had a page.
            row = find_or_create(database, source, new_import(source, Trigger.CLI, fresh=True), clock)
            begun_before = row.metadata_with(sleeps_before=0, slept_before=0.0)
            with database.write() as connection:
                connection.execute(
                    update(imports_table).where(imports_table.c.id == row.id).values(metadata=begun_before)
                )
            with pytest.raises(LeaseLost):
                execute_import(ImportRun(installation=installation, source=source, connect=connect_late), row.id)
    assert len(rows(configured)) == 5
