"""Tasks by POST with an offset, and a list of comments per task."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import ImportableMixin, ImportSource, Incremental, Offset


class Base(DeclarativeBase): ...


class Task(ImportableMixin, Base):
    __tablename__ = "tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    summary: Mapped[str]


class Comment(ImportableMixin, Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    body: Mapped[str]


class Tasks(ImportSource):
    name, model, limits = "tasks", Task, "50/1 second"
    pages = Offset(param="startAt", size="maxResults", total="total", where="json")
    order, incremental = "oldest_first", Incremental(start="2000-01-01T00:00:00Z")

    def changes_request(self, since):
        return httpx.Request("POST", "/search", json={"jql": f'updated >= "{since}" ORDER BY updated ASC'})

    def items(self, list_response):
        return list_response.json()["issues"]

    def version(self, item):
        return item["fields"]["updated"]

    position = version

    def stub(self, item):
        return Task(external_id=item["key"], summary=item["fields"]["summary"])


class Comments(ImportSource):
    name, model, limits = "comments", Comment, "50/1 second"
    parent, changed_only = Tasks, True
    pages = Offset(param="startAt", size="maxResults", total="total")

    def slice_request(self, key):
        return httpx.Request("GET", f"/issue/{key}/comment")

    def items(self, list_response):
        return list_response.json()["comments"]

    def stub(self, item, key):
        return Comment(external_id=item["id"], task=key, body=item["body"])


SOURCES = [Tasks(), Comments()]
