"""Issues: pages by Link header, details with an ETag, a limit whose refusal is a 403 without any hint."""

from datetime import timedelta

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, Incremental, LinkHeader


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
    pages, order, conditional = LinkHeader(), "oldest_first", True
    incremental = Incremental(start="2000-01-01T00:00:00Z", full_every=timedelta(days=7))

    def changes_request(self, since):
        params = {"since": since, "sort": "updated", "direction": "asc", "state": "all", "per_page": self.per_page}
        return httpx.Request("GET", "/issues", params=params)

    def items(self, list_response):
        return list_response.json()

    def stub(self, item):
        return Issue(external_id=str(item["number"]))

    def version(self, item):
        return item["updated_at"]

    position = version

    def is_rate_limited(self, response):
        return response.status_code == 403 and "rate limit" in response.text


SOURCES = [Issues()]
