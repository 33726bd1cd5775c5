"""An API of issues with a list of comments each, served without a network, and the sources of a user for both."""

from collections import Counter

import httpx
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from import_pipeline import ImportableMixin, ImportSource, path_segment
from import_pipeline.contracts.paginators import PageNumber
from import_pipeline_tests.support.imports import settings

URL = "https://api.test"
SIZE = 10


class Base(DeclarativeBase):
    """The tables of the user."""


class Issue(ImportableMixin, Base):
    """An issue; the list has all of it."""

    __tablename__ = "issues"

    id: Mapped[int] = mapped_column(primary_key=True)

    def detail_request(self):
        return None

    def populate(self, detail):
        raise AssertionError("an issue has no detail")


class Comment(ImportableMixin, Base):
    """A comment; the list has all of it."""

    __tablename__ = "comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    issue: Mapped[str | None] = mapped_column(String(255))
    text: Mapped[str | None] = mapped_column(String(100))

    def detail_request(self):
        return None

    def populate(self, detail):
        raise AssertionError("a comment has no detail")


class Issues(ImportSource):
    """The parent: one list."""

    name = "issues"
    model = Issue
    base_url = URL
    limits = "100000/1 second"
    per_page = SIZE
    pages = PageNumber(more="more")

    def list_request(self):
        return httpx.Request("GET", "/issues")

    def items(self, list_response):
        return list_response.json()["data"]

    def version(self, item):
        return item.get("version")

    def stub(self, item):
        return Issue(external_id=str(item["id"]))


class Comments(ImportSource):
    """The children: one list per issue."""

    name = "comments"
    model = Comment
    base_url = URL
    limits = "100000/1 second"
    per_page = SIZE
    pages = PageNumber(more="more")
    parent = Issues

    def slice_request(self, key):
        return httpx.Request("GET", f"/issues/{path_segment(key)}/comments")

    def items(self, list_response):
        return list_response.json()["data"]

    def total(self, list_response):
        return list_response.json().get("total")

    def stub(self, item, key):
        return Comment(external_id=str(item["id"]), issue=key, text=item.get("text"))


class Windows(Comments):
    """The same lists by keys of the source's own."""

    parent = None

    def __init__(self, keys):
        self.keys = keys

    def slices(self):
        yield from self.keys


class SlicedApi:
    """Answers the list of issues and the list of comments of each.

    `comments` maps an issue to the ids of its comments. `asked` counts the requests by issue and page; None is the list
    of issues. `answers` maps an issue, or an issue and a page, to a response, an error or a function of the request.
    """

    def __init__(self, comments, *, answers=None, versions=None, with_total=False, size=SIZE):
        self.comments = comments
        self.size = size
        self.answers = answers or {}
        self.versions = versions or {}
        self.with_total = with_total
        self.asked = Counter()

    def __call__(self, request):
        parts = request.url.path.strip("/").split("/")
        page = int(request.url.params["page"])
        issue = parts[1] if len(parts) > 1 else None
        self.asked[issue, page] += 1
        answer = self.answers.get((issue, page), self.answers.get(issue))
        if callable(answer):
            answer = answer(request)
        if answer is not None:
            return answer
        if issue is None:
            return self.page([self.issue(each) for each in self.comments], page)
        if issue not in self.comments:
            return httpx.Response(404)
        return self.page([{"id": each, "text": "t"} for each in self.comments[issue]], page)

    def issue(self, key):
        return {"id": key, "version": self.versions.get(key)}

    def page(self, items, page):
        chosen = items[(page - 1) * self.size : page * self.size]
        body = {"data": chosen, "more": page * self.size < len(items)}
        return body | ({"total": len(items)} if self.with_total else {})

    @property
    def list_requests(self):
        """The requests for lists of comments."""
        return sum(number for (issue, _), number in self.asked.items() if issue is not None)

    def needed(self):
        """The requests that the lists of comments need: one per page, and one per empty list."""
        return sum(max(1, -(-len(found) // self.size)) for found in self.comments.values())

    @property
    def app(self):
        """The API as an application that a server runs."""

        async def page(request):
            answer = self(httpx.Request("GET", f"{URL}{request.url.path}?{request.url.query}"))
            if isinstance(answer, httpx.Response):
                return Response(status_code=answer.status_code)
            return JSONResponse(answer)

        return Starlette(routes=[Route("/{path:path}", page)])


def sliced_settings(home, **environment):
    """Settings for both sources, with short retries."""
    quick = {f"{name}_{key}": value for name in ("ISSUES", "COMMENTS") for key, value in QUICK.items()}
    return settings(home, URL, **(quick | environment))


QUICK = {"CEILING": "1", "TRIES": "3", "BACKOFF": "0.02", "TIMEOUT": "10"}


def comments_of(sizes):
    """Return issue -> ids of comments, for these numbers of comments."""
    return {str(number): [f"{number}-{each}" for each in range(size)] for number, size in enumerate(sizes, start=1)}


#: The sources by name, for processes that read the setting IMPORT_PIPELINE_SOURCES.
SOURCES = [Issues(), Comments()]
