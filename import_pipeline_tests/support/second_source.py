"""The sources of a user: two collections of another API, and the example's `items`.

Books need a token, a cursor for the list, and quoting of their ids in URLs. Shelves need no details; Link headers name
their next pages. All three sources share one api and so its limits.
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
    """The tables of the user."""


class Book(ImportableMixin, HasImportStatus, Base):
    """A book; the list contains only its id."""

    __tablename__ = "library_books"

    key: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(100))
    pages: Mapped[int | None]

    def detail_request(self) -> httpx.Request:
        """Request /v1/books/{id}, relative to the base URL. The id may contain any character."""
        return httpx.Request("GET", f"books/{path_segment(self.external_id)}")

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Copy the title and the pages from the detail."""
        if detail["isbn"] != self.external_id:
            raise ValueError(f"expected the book {self.external_id}, got {detail['isbn']}")
        self.title, self.pages = detail["title"], int(detail["pages"])


class Books(ImportSource):
    """The books, listed by cursor; each detail is in an envelope."""

    name = "books"
    api = "library"
    model = Book
    limits = LIMITS
    per_page = 10

    def list_request(self, page: int, per_page: int) -> httpx.Request:
        """Request /v1/books?take=10."""
        return httpx.Request("GET", "books", params={"take": per_page})

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Return the ids, each as an object."""
        return [{"isbn": isbn} for isbn in list_response.json()["isbns"]]

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """Return True if the response has a cursor."""
        return list_response.json()["cursor"] is not None

    def next_request(self, response: httpx.Response, page: int) -> httpx.Request | None:
        """Request /v1/books?take=10&cursor=…, or return None after the last page."""
        cursor = response.json()["cursor"]
        return (
            None if cursor is None else httpx.Request("GET", "books", params={"take": self.per_page, "cursor": cursor})
        )

    def stub(self, item: Mapping[str, Any]) -> Book:
        """Return a row with the id only."""
        return Book(external_id=item["isbn"])

    def detail(self, response: httpx.Response) -> Mapping[str, Any]:
        """Return the content of the envelope."""
        book: Mapping[str, Any] = response.json()["book"]
        return book


class Shelf(ImportableMixin, Base):
    """A shelf; the list contains all of its fields."""

    __tablename__ = "library_shelves"

    key: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str] = mapped_column(String(20))

    def detail_request(self) -> None:
        """Return None: there is no detail."""
        return

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Do nothing: this is never called, as there are no details."""


class Shelves(ImportSource):
    """The shelves, paged by Link headers; each response is a bare array."""

    name = "shelves"
    api = "library"
    model = Shelf
    limits = LIMITS

    def list_request(self, page: int, per_page: int) -> httpx.Request:
        """Request /v1/shelves."""
        return httpx.Request("GET", "shelves")

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Return the array of objects."""
        shelves: list[dict[str, Any]] = list_response.json()
        return shelves

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """Return True if the response has a link to the next page."""
        return "next" in list_response.links

    def next_request(self, response: httpx.Response, page: int) -> httpx.Request | None:
        """Request the address of the link, or return None after the last page."""
        link = response.links.get("next")
        return httpx.Request("GET", link["url"]) if link else None

    def stub(self, item: Mapping[str, Any]) -> Shelf:
        """Return the complete row."""
        return Shelf(external_id=item["code"], room=item["room"])


class LibraryItems(ItemsSource):
    """The example's items, also served by the library's server."""

    api = "library"
    limits = LIMITS


SOURCES = [LibraryItems(), Books(), Shelves()]
