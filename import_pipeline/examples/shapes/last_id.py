"""Customers: pages after the last id, newest first."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, LastId


class Base(DeclarativeBase): ...


class Customer(ImportableMixin, Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    balance: Mapped[str]


class Customers(ImportSource):
    name, model, limits = "customers", Customer, "25/1 second"
    pages = LastId()

    def list_request(self):
        return httpx.Request("GET", "/v1/customers")

    def items(self, list_response):
        return list_response.json()["data"]

    def stub(self, item):
        return Customer(external_id=item["id"], name=item["name"], balance=item["balance"])


SOURCES = [Customers()]
