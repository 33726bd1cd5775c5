"""A strict API with a list and a batch read, and a source for it."""

import json
from collections import Counter
from collections.abc import Callable

import httpx
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin, ImportSource, PageNumber
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through, settings

API = "https://api.test"


class Base(DeclarativeBase):
    metadata = MetaData()


class Deal(ImportableMixin, Base):
    """A row without `detail_request`: its source requests details in batches."""

    __tablename__ = "deals"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None]

    def populate(self, detail):
        self.label = detail["label"]


class Deals(ImportSource):
    """Deals of an API that reads up to `details_per_request` of them at once."""

    name = "items"
    model = Deal
    pages = PageNumber()
    per_page = 100
    details_per_request = 100

    def list_request(self):
        return httpx.Request("GET", "/deals")

    def items(self, list_response):
        return list_response.json()["deals"]

    def stub(self, item):
        return self.model(external_id=str(item["id"]))

    def details_request(self, rows):
        return httpx.Request("POST", "/deals/read", json={"ids": [row.external_id for row in rows]})

    def details(self, response):
        return [(each["id"], each) for each in response.json()["results"]]


class BatchApi:
    """Lists the ids and reads them in batches; refuses an empty batch, and one above `most`.

    `answer` gets the ids of a batch and may return another answer than the usual one. `batches` has the ids of each
    request that arrived.
    """

    def __init__(self, ids, *, most=100):
        self.ids, self.most = [str(each) for each in ids], most
        self.answer: Callable = lambda ids: None
        self.batches: list[list[str]] = []
        self.lists = 0  #: list requests

    def __call__(self, request):
        if request.url.path == "/deals":
            self.lists += 1
            page, size = int(request.url.params["page"]), int(request.url.params["per_page"])
            return {"deals": [{"id": each} for each in self.ids[(page - 1) * size : page * size]]}
        ids = json.loads(request.content)["ids"]
        self.batches.append(ids)
        if not 1 <= len(ids) <= self.most:
            return httpx.Response(413, json={"message": f"at most {self.most} ids"})
        return self.answer(ids) or results(ids)

    @property
    def sizes(self):
        """The numbers of ids in the batches, in order."""
        return [len(each) for each in self.batches]

    @property
    def repeated(self):
        """The number of reads beyond one of each id."""
        return sum(count - 1 for count in Counter(each for ids in self.batches for each in ids).values())


def result(external_id):
    return {"id": external_id, "label": f"deal {external_id}"}


def results(ids):
    return {"results": [result(each) for each in ids]}


def import_deals(api, home, source=None, database_url=None, **environment):
    """Import the deals, one request at a time. Return the summary and the settings."""
    quick = {"ITEMS_CONCURRENCY": "1", "ITEMS_BACKOFF": "0.01", "ITEMS_TRIES": "5"}
    more = {"DATABASE_URL": database_url} if database_url else {}
    configured = settings(home, API, **{**quick, **more, **environment})
    return import_through(CannedTransport(api), source or Deals(), configured), configured
