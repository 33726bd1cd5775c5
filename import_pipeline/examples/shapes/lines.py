"""Books in lines of JSON: the list item is the whole item, and its `updated` its version."""

import json

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, PageNumber


class Base(DeclarativeBase): ...


class Book(ImportableMixin, Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[str]


class Books(ImportSource):
    name, model, limits = "books", Book, "60/1 second"
    pages = PageNumber(size=None)

    def list_request(self):
        return httpx.Request("GET", "/stories.ndjson")

    def items(self, list_response):
        return [json.loads(line) for line in list_response.text.split("\n") if line.strip()]

    def stub(self, item):
        return Book(external_id=str(item["id"]), title=item["title"], price=item["price"])


SOURCES = [Books()]
