"""Sources whose hooks raise a BaseException; each has a table of its own."""

import asyncio

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin, path_segment
from import_pipeline.contracts.source import Retry
from import_pipeline.sources.items import ItemsSource


class Base(DeclarativeBase):
    """The tables of these sources."""


class Panic(BaseException):
    """A BaseException, like the one that extensions written in Rust raise."""


class Row(ImportableMixin):
    """A row whose details are the demo API's."""

    id: Mapped[int] = mapped_column(primary_key=True)

    def detail_request(self):
        return httpx.Request("GET", f"/api/items/{path_segment(self.external_id)}")

    def populate(self, detail):
        pass


class OfList(Row, Base):
    __tablename__ = "of_broken_list"


class OfItem(Row, Base):
    __tablename__ = "of_broken_item"

    def populate(self, detail):
        if self.external_id == "2":
            raise Panic("in Rust")


class OfRequest(Row, Base):
    __tablename__ = "of_broken_request"


class Broken(ItemsSource):
    retry = Retry(tries=2, backoff=(0.1,))

    def stub(self, item):
        return self.model(external_id=str(item["id"]))


class BrokenList(Broken):
    name = "broken_list"
    model = OfList

    def list_request(self, page, per_page):
        raise SystemExit(3)


class BrokenItem(Broken):
    name = "broken_item"
    model = OfItem


class BrokenRequest(Broken):
    name = "broken_request"
    model = OfRequest

    def is_rate_limited(self, response):
        raise asyncio.CancelledError


SOURCES = [BrokenList(), BrokenItem(), BrokenRequest()]
