"""Tickets: an export of changes with an inclusive cursor and tombstones."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, Incremental


class Base(DeclarativeBase): ...


class Ticket(ImportableMixin, Base):
    __tablename__ = "tickets"
    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    requester: Mapped[str]


class Tickets(ImportSource):
    name, model, limits, per_page = "tickets", Ticket, "10/60 second", 1000
    order, incremental = "oldest_first", Incremental(start="0", lookback=60)  # a start must be a minute old

    def changes_request(self, since, page, per_page):
        return httpx.Request("GET", "/incremental/tickets.json", params={"start_time": since, "per_page": per_page})

    def next_request(self, response, page):
        body = response.json()
        return None if body["end_of_stream"] else httpx.Request("GET", body["next_page"])

    def items(self, list_response):
        return list_response.json()["tickets"]

    def position(self, item):
        return str(item["generated_timestamp"])

    def is_deleted(self, item):
        return item["status"] == "deleted"

    def stub(self, item):
        return Ticket(external_id=str(item["id"]), subject=item["subject"], requester=item["requester"])


SOURCES = [Tickets()]
