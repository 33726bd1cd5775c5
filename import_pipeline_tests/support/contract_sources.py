"""A source that keeps the contract, and variants of it."""

import httpx
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin, ImportSource


class Base(DeclarativeBase):
    """The tables of the user."""

    metadata = MetaData()


class Thing(ImportableMixin, Base):
    """A row whose list item is whole."""

    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)

    def populate(self, detail):
        pass

    def detail_request(self):
        return None


class Mute(ImportableMixin, Base):
    """A row without a request for details."""

    __tablename__ = "mutes"
    id: Mapped[int] = mapped_column(primary_key=True)

    def populate(self, detail):
        pass


class Things(ImportSource):
    """A source with numbered pages."""

    name = "things"
    model = Thing

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/things", params={"page": page, "size": per_page})

    def items(self, list_response):
        return list_response.json()["things"]

    def has_next_page(self, list_response):
        return list_response.json()["more"]

    def stub(self, item):
        return Thing(external_id=item["id"])


def source(**attributes):
    """Return Things with other class attributes."""
    return type("Things", (Things,), attributes)()
