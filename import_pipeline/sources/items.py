"""The example source: the items of the demo API. A new source needs one file like this."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import Numeric, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import HasImportStatus, ImportableMixin, ImportSource, UtcDateTime, path_segment


class Base(DeclarativeBase):
    """The declarative base of your own tables."""


class ImportedItem(ImportableMixin, HasImportStatus, Base):
    """An imported item. Columns that only the detail fills are null until it has been fetched."""

    __tablename__ = "imported_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    source_created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    source_updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def detail_request(self) -> httpx.Request:
        """GET /api/items/{id}"""
        return httpx.Request("GET", f"/api/items/{path_segment(self.external_id)}")

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Copy the detail's fields to the row; name and price are required."""
        self.name = str(detail["name"])
        self.description = detail.get("description")
        self.price = Decimal(str(detail["price"]))
        for name in ("created_at", "updated_at"):
            text = detail.get(name)
            setattr(self, f"source_{name}", None if text is None else datetime.fromisoformat(text))


class ItemsSource(ImportSource):
    """All items: a list in numbered pages, then one request per item."""

    name = "items"
    model = ImportedItem
    base_url = "http://127.0.0.1:8000"
    limits = "500/20 second; 2000/100 second"

    def list_request(self, page: int, per_page: int) -> httpx.Request:
        """GET /api/items?page=1&perPage=100"""
        return httpx.Request("GET", "/api/items", params={"page": page, "perPage": per_page})

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Return the items of a page; each has an id and a name."""
        return list(list_response.json()["data"])

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """Return True until current_page equals last_page."""
        body = list_response.json()
        return bool(body["current_page"] < body["last_page"])

    def stub(self, item: Mapping[str, Any]) -> ImportedItem:
        """Return a row with the values that the list contains."""
        return ImportedItem(external_id=str(item["id"]), name=item.get("name"))

    def version(self, item: Mapping[str, Any]) -> str | None:
        """Return updated_at: while it is unchanged, the details are not fetched again."""
        return item.get("updated_at")

    def total(self, list_response: httpx.Response) -> int | None:
        """Return the number of items in the list; every page reports it."""
        return list_response.json().get("total")  # type: ignore[no-any-return]
