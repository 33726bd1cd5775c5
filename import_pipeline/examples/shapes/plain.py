"""Stories: a list of bare ids, details in XML; and the same in lines of JSON."""

from xml.etree import ElementTree

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, PageNumber


class Base(DeclarativeBase): ...


class Story(ImportableMixin, Base):
    __tablename__ = "stories"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]

    def detail_request(self):
        return httpx.Request("GET", f"/stories/{self.external_id}.xml")

    def populate(self, detail):
        self.title = detail["title"]


class Stories(ImportSource):
    name, model, limits = "stories", Story, "60/1 second"
    pages, conditional = PageNumber(size=None), True

    def list_request(self):
        return httpx.Request("GET", "/ids")

    def items(self, list_response):
        return [{"id": number} for number in list_response.json()]

    def stub(self, item):
        return Story(external_id=str(item["id"]))

    def detail(self, response):
        return {each.tag: each.text for each in ElementTree.fromstring(response.content)}


SOURCES = [Stories()]
