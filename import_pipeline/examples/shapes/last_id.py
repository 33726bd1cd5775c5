"""Customers: pages after the last id, newest first; changes come from a list of events."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, Incremental, LastId


class Base(DeclarativeBase): ...


class Customer(ImportableMixin, Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    balance: Mapped[str]


class Customers(ImportSource):
    name, model, limits = "customers", Customer, "25/1 second"
    pages, order, incremental = LastId(), "newest_first", Incremental()

    def list_request(self):
        return httpx.Request("GET", "/v1/customers")

    def changes_request(self, since):
        return httpx.Request("GET", "/v1/events", params={"created[gte]": since})

    def items(self, list_response):
        return list_response.json()["data"]

    def position(self, item):
        return str(item["created"])

    def is_deleted(self, item):
        return item.get("type") == "customer.deleted"

    def stub(self, item):
        customer = item["data"]["object"] if "data" in item else item  # an event holds the customer
        return Customer(external_id=customer["id"], name=customer["name"], balance=customer["balance"])


SOURCES = [Customers()]
