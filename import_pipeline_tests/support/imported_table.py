"""A user's table, the source that fills it, and the answers of its API."""

from contextlib import closing

import httpx
from sqlalchemy import (
    Integer,
    MetaData,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column

from import_pipeline.contracts import ImportableMixin
from import_pipeline.importer.installation import open_installation
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support.imports import import_through, rows, settings

API = "https://api.test"


def text(**more):
    """Return a nullable column for any text."""
    return mapped_column(Text, nullable=True, **more)


class Row:
    """The base of the rows: each field of a detail is stored as it is."""

    def detail_request(self):
        return httpx.Request("GET", "/detail", params={"id": str(self.external_id)})

    def populate(self, detail):
        for name, value in detail.items():
            setattr(self, name, value)


class ImportedTable:
    """A user's table, the source that fills it, and its API.

    `stubs` and `details` are the API's present state: external id -> the fields in the list, and those in the detail.
    `asked` holds the ids whose details the last import requested.
    """

    def __init__(self, home, database_url, columns, *, mixin=ImportableMixin):
        base = type("Base", (DeclarativeBase,), {"metadata": MetaData()})
        columns = {"id": mapped_column(Integer, primary_key=True)} | columns
        bases = (Row, base) if mixin is None else (Row, mixin, base)
        self.model = type("Thing", bases, {"__tablename__": "things", **columns})
        table = self

        class Things(ItemsSource):
            model = self.model

            def stub(self, item):
                return table.model(external_id=item["id"], **table.stubs.get(item["id"], {}))

            def items(self, list_response):
                return [dict(each) for each in list_response.json()["data"]]

            def version(self, item):
                return None

            def detail(self, response):
                return table.details[response.json()["id"]]

        self.source = Things()
        self.settings = settings(home, API, DATABASE_URL=database_url, ITEMS_CONCURRENCY="3")
        self.stubs, self.details, self.asked = {}, {}, []

    def answer(self, request):
        if request.url.path == "/api/items":
            data = [{"id": each} for each in self.details]
            return {"data": data, "current_page": 1, "last_page": 1, "total": len(data)}
        self.asked.append(request.url.params["id"])
        return {"id": request.url.params["id"]}

    def imported(self, **options):
        """Import the API's present state; return the summary."""
        self.asked.clear()
        return import_through(CannedTransport(self.answer), self.source, self.settings, **options)

    def rows(self):
        return rows(self.settings, self.model)

    def sql(self, *statements):
        """Execute the statements, after the table is made."""
        with open_installation(self.settings, [self.source]) as installation:
            installation.source("items")
        with closing(Database(self.settings.database_url)) as database, database.write() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
