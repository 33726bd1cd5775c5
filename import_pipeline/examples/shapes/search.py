"""Contacts: a search by POST with a limit of its own and a cap of 10,000 results, details in batches of 100."""

from itertools import pairwise

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import Cursor, ImportableMixin, ImportSource, Incremental

MONTHS = [f"{year}-{month:02}-01T00:00:00Z" for year in range(2024, 2027) for month in range(1, 13)]


class Base(DeclarativeBase): ...


class Contact(ImportableMixin, Base):
    __tablename__ = "contacts"
    id: Mapped[int] = mapped_column(primary_key=True)
    firstname: Mapped[str | None]

    def populate(self, detail):
        self.firstname = detail["firstname"]


class Contacts(ImportSource):
    name, model, incremental, details_per_request = "contacts", Contact, Incremental(), 100
    max_results, limits = 10_000, {"/contacts/search": "5/1 second", "": "100/10 second"}
    pages = Cursor(next="paging.next.after", param="after", size="limit", where="json")

    def slices(self):
        months = [f"createdate/{first}/{last}" for first, last in pairwise(MONTHS)]
        return months if self.since is None else [f"lastmodifieddate/{self.since}/9999-01-01T00:00:00Z"]

    def slice_request(self, key):
        name, first, last = key.split("/")
        filters = [{"propertyName": name, "operator": "BETWEEN", "value": first, "highValue": last}]
        return httpx.Request("POST", "/contacts/search", json={"filterGroups": [{"filters": filters}]})

    def items(self, list_response):
        return list_response.json()["results"]

    def stub(self, item, key):
        return Contact(external_id=item["id"])

    def version(self, item):
        return item["updatedAt"]

    position = version

    def details_request(self, rows):
        body = {"inputs": [{"id": row.external_id} for row in rows], "properties": ["firstname"]}
        return httpx.Request("POST", "/contacts/batch/read", json=body)

    def details(self, response):
        return [(each["id"], each["properties"]) for each in response.json()["results"]]


SOURCES = [Contacts()]
