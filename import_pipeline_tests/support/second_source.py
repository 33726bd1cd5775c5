"""The sources of a user: two collections of another API, beside the example's `items`.

Books are listed by cursor, behind a token, under ids that need care in a URL. Shelves come whole with the list, which
is paged by Link headers. All three sources share one api and so its limits.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import HasImportStatus, ImportableMixin, ImportSource, path_segment
from import_pipeline.sources.items import ItemsSource

LIMITS = "50/1 second; 100/3 second"


class Base(DeclarativeBase):
    """Our own tables."""


class Book(ImportableMixin, HasImportStatus, Base):
    """A book; the list tells its id only."""

    __tablename__ = "library_books"

    key: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(100))
    pages: Mapped[int | None]

    def detail_request(self) -> httpx.Request:
        """GET /v1/books/{id}, relative to the base URL, in which any character may stand."""
        return httpx.Request("GET", f"books/{path_segment(self.external_id)}")

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Take over the details."""
        if detail["isbn"] != self.external_id:
            raise ValueError(f"expected the book {self.external_id}, got {detail['isbn']}")
        self.title, self.pages = detail["title"], int(detail["pages"])


class Books(ImportSource):
    """The books, by cursor; their details stand in an envelope."""

    name = "books"
    api = "library"
    model = Book
    limits = LIMITS
    per_page = 10

    def list_request(self, page: int, per_page: int) -> httpx.Request:
        """GET /v1/books?take=10"""
        return httpx.Request("GET", "books", params={"take": per_page})

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Bare ids."""
        return [{"isbn": isbn} for isbn in list_response.json()["isbns"]]

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """As long as there is a cursor."""
        return list_response.json()["cursor"] is not None

    def next_request(self, response: httpx.Response, page: int) -> httpx.Request | None:
        """GET /v1/books?take=10&cursor=…"""
        cursor = response.json()["cursor"]
        return (
            None if cursor is None else httpx.Request("GET", "books", params={"take": self.per_page, "cursor": cursor})
        )

    def stub(self, item: Mapping[str, Any]) -> Book:
        """The id."""
        return Book(external_id=item["isbn"])

    def detail(self, response: httpx.Response) -> Mapping[str, Any]:
        """What is in the envelope."""
        book: Mapping[str, Any] = response.json()["book"]
        return book


class Shelf(ImportableMixin, Base):
    """A shelf."""

    __tablename__ = "library_shelves"

    key: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str] = mapped_column(String(20))

    def detail_request(self) -> None:
        """The list had it all."""
        return

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Never called: there are no details."""


class Shelves(ImportSource):
    """The shelves, paged by Link headers, whole in the list; the answer is a bare array."""

    name = "shelves"
    api = "library"
    model = Shelf
    limits = LIMITS

    def list_request(self, page: int, per_page: int) -> httpx.Request:
        """GET /v1/shelves"""
        return httpx.Request("GET", "shelves")

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """An array of objects."""
        shelves: list[dict[str, Any]] = list_response.json()
        return shelves

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """As long as there is a link."""
        return "next" in list_response.links

    def next_request(self, response: httpx.Response, page: int) -> httpx.Request | None:
        """Where the link points to."""
        link = response.links.get("next")
        return httpx.Request("GET", link["url"]) if link else None

    def stub(self, item: Mapping[str, Any]) -> Shelf:
        """All there is."""
        return Shelf(external_id=item["code"], room=item["room"])


class LibraryItems(ItemsSource):
    """The example's items, served by the library's server too."""

    api = "library"
    limits = LIMITS


SOURCES = [LibraryItems(), Books(), Shelves()]
