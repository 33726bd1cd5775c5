"""The example source: the items of the demo API. This file is all that a new source needs."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import Numeric, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin, ImportSource, UtcDateTime, path_segment
from import_pipeline.tracking.history import HasImportStatus


class Base(DeclarativeBase):
    """The user's own tables."""


class ImportedItem(ImportableMixin, HasImportStatus, Base):
    """An item as we keep it. What only the detail tells is null until it has come."""

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
        """Take over the detail's fields; name and price must be there."""
        self.name = str(detail["name"])
        self.description = detail.get("description")
        self.price = Decimal(str(detail["price"]))
        for name in ("created_at", "updated_at"):
            text = detail.get(name)
            setattr(self, f"source_{name}", None if text is None else datetime.fromisoformat(text))


class ItemsSource(ImportSource):
    """All items: a numbered list of pages, then one request per item."""

    name = "items"
    model = ImportedItem
    base_url = "http://127.0.0.1:8000"
    limits = "500/20 second; 2000/100 second"

    def list_request(self, page: int, per_page: int) -> httpx.Request:
        """GET /api/items?page=1&perPage=100"""
        return httpx.Request("GET", "/api/items", params={"page": page, "perPage": per_page})

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Each has an id and a name."""
        return list(list_response.json()["data"])

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """Until current_page is last_page."""
        body = list_response.json()
        return bool(body["current_page"] < body["last_page"])

    def stub(self, item: Mapping[str, Any]) -> ImportedItem:
        """What the list tells already."""
        return ImportedItem(external_id=str(item["id"]), name=item.get("name"))

    def version(self, item: Mapping[str, Any]) -> str | None:
        """While updated_at stays, the details are not fetched again."""
        return item.get("updated_at")

    def total(self, list_response: httpx.Response) -> int | None:
        """Every page tells it."""
        return list_response.json().get("total")  # type: ignore[no-any-return]
