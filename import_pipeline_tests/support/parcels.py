"""Parcels: details in batches, child rows, and follow-up requests for some; served over HTTP and counted."""

import asyncio
from collections import Counter

import httpx
from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from import_pipeline.contracts import ImportableMixin, ImportSource, PageNumber

PARTS = 3


class Base(DeclarativeBase):
    metadata = MetaData()


class Part(Base):
    __tablename__ = "parcel_parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    parcel_id: Mapped[int] = mapped_column(ForeignKey("parcels.id"))
    number: Mapped[int]


class Parcel(ImportableMixin, Base):
    __tablename__ = "parcels"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None]
    parts: Mapped[list[Part]] = relationship(cascade="all, delete-orphan", order_by=Part.id)

    def populate(self, detail):
        self.label = detail.get("label", self.label)
        self.parts.extend(Part(number=each) for each in detail["parts"])

    def more(self, detail):
        return httpx.Request("GET", f"/parcels/{self.external_id}/parts") if detail.get("more") else None


class Parcels(ImportSource):
    """Parcels in batches of three. Every fourth one has its last part in an answer of its own."""

    name, model, per_page, pages = "items", Parcel, 4, PageNumber()
    details_per_request = 3

    def list_request(self):
        return httpx.Request("GET", "/parcels")

    def items(self, list_response):
        return list_response.json()

    def stub(self, item):
        return Parcel(external_id=str(item["id"]))

    def details_request(self, rows):
        return httpx.Request("GET", "/read", params={"ids": ",".join(row.external_id for row in rows)})

    def details(self, response):
        return [(each["id"], each) for each in response.json()]


SOURCES = [Parcels()]


class ParcelApi:
    """Lists and reads `number` parcels. `reads` counts the requests for each parcel, `batches` all batches.

    A batch takes that many seconds; `most_in_flight` is the most batches that were read at once.
    """

    def __init__(self, number, seconds=0.0):
        self.seconds, self.in_flight, self.most_in_flight = seconds, 0, 0
        self.number, self.reads, self.batches = number, Counter(), 0
        self.app = Starlette(
            routes=[
                Route("/parcels", self.listed),
                Route("/read", self.read),
                Route("/parcels/{parcel}/parts", self.rest),
            ]
        )

    async def listed(self, request):
        page, size = int(request.query_params["page"]), int(request.query_params["per_page"])
        numbers = range(1, self.number + 1)[(page - 1) * size : page * size]
        return JSONResponse([{"id": each} for each in numbers])

    async def read(self, request):
        ids = request.query_params["ids"].split(",")
        self.batches += 1
        self.reads.update(ids)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self.seconds)
        self.in_flight -= 1
        return JSONResponse([self.parcel(each) for each in ids])

    async def rest(self, request):
        return JSONResponse({"parts": [PARTS]})

    @staticmethod
    def parcel(parcel):
        more = int(parcel) % 4 == 0
        return {"id": parcel, "label": f"parcel {parcel}", "parts": [1, 2] if more else [1, 2, 3], "more": more}
