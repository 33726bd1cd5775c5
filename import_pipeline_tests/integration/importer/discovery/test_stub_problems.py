"""Stubs fill columns that must not be null, and set no relationship that cannot be stored, or `doctor` says so."""

import httpx
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from import_pipeline import ImportableMixin, ImportSource
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.discovery.stub_problems import empty_columns, refused_relations


class Base(DeclarativeBase):
    """The tables of this module."""


class Ticket(ImportableMixin, Base):
    __tablename__ = "tickets_with_empty_columns"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    priority: Mapped[int]
    assignee: Mapped[str | None] = mapped_column(String(50))
    revision: Mapped[int] = mapped_column(default=1)
    shown: Mapped[int] = mapped_column(server_default="1")

    def detail_request(self):
        return httpx.Request("GET", f"/tickets/{self.external_id}")

    def populate(self, detail):
        self.priority = detail["priority"]


class Coded(ImportableMixin, Base):
    """A row whose primary key no database generates."""

    __tablename__ = "coded_with_empty_columns"

    code: Mapped[str] = mapped_column(String(50), primary_key=True)
    title: Mapped[str | None]

    populate, detail_request = Ticket.populate, Ticket.detail_request


class Owned(ImportableMixin, Base):
    """A row that refers to another one."""

    __tablename__ = "owned_by_coded"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_code: Mapped[str | None] = mapped_column(ForeignKey("coded_with_empty_columns.code"))
    owner: Mapped[Coded | None] = relationship()

    populate, detail_request = Ticket.populate, Ticket.detail_request


class Tickets(ImportSource):
    name = "tickets"
    model = Ticket
    base_url = "https://api.test"

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/tickets")

    def items(self, list_response):
        return list_response.json()

    def has_next_page(self, list_response):
        return False

    def stub(self, item):
        return Ticket(external_id=str(item["id"]), title=item["title"])


def test_a_required_column_that_only_the_detail_fills_is_found():
    page = httpx.Response(200, json=[{"id": 1, "title": "a"}, {"id": 2, "title": "b"}])
    assert empty_columns(SourceList(source=Tickets()), page) == ["priority"]


def test_an_empty_page_proves_nothing():
    assert empty_columns(SourceList(source=Tickets()), httpx.Response(200, json=[])) == []


def test_a_primary_key_that_nothing_generates_is_found():
    page = httpx.Response(200, json=[{"id": 1, "title": "a"}])
    source = type("Codes", (Tickets,), {"model": Coded, "stub": lambda self, item: Coded(external_id=str(item["id"]))})
    assert empty_columns(SourceList(source=source()), page) == ["code"]


def test_a_relationship_that_cannot_be_stored_is_found():
    def stub(self, item):
        return Owned(external_id=str(item["id"]), owner=Coded(external_id="c", code="c") if item["id"] > 1 else None)

    source = type("Owners", (Tickets,), {"model": Owned, "stub": stub})
    page = httpx.Response(200, json=[{"id": 1}, {"id": 2}, {"id": 3}])
    [said] = refused_relations(SourceList(source=source()), page)
    assert said.startswith("Owned.owner is set by stub(), but refers to a row that others share: set its foreign key")
    assert refused_relations(SourceList(source=source()), httpx.Response(200, json=[{"id": 1}])) == []


def test_an_item_without_an_id_is_no_row_named_none():
    page = httpx.Response(200, json=[{"id": None, "title": "a"}, {"id": "None", "title": None}])
    missing, named = SourceList(source=Tickets()).parse(page, 1)
    assert (
        missing.problem
        == "Tickets.stub returns the external_id 'None', as str() of a missing value does: the item has no id"
    )
    assert (missing.external_id, named.external_id, named.problem) == ("(page 1, item 1)", "None", None)
