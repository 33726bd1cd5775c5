"""Issues: pages by Link header, details with an ETag, a limit whose refusal is a 403 without any hint."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, LinkHeader


class Base(DeclarativeBase): ...


class Issue(ImportableMixin, Base):
    __tablename__ = "issues"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]
    author: Mapped[str | None]

    def detail_request(self):
        return httpx.Request("GET", f"/issues/{self.external_id}")

    def populate(self, detail):
        self.title, self.author = detail["title"], detail["user"]["login"]


class Issues(ImportSource):
    name, model, limits = "issues", Issue, "900/60 second; 100 concurrent"
    pages, conditional = LinkHeader(), True

    def list_request(self):
        return httpx.Request("GET", "/issues", params={"per_page": self.per_page, "sort": "updated"})

    def items(self, list_response):
        return list_response.json()

    def stub(self, item):
        return Issue(external_id=str(item["number"]))

    def version(self, item):
        return item["updated_at"]

    def is_rate_limited(self, response):
        return response.status_code == 403 and "rate limit" in response.text


SOURCES = [Issues()]
