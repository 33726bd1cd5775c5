"""A list by POST with an offset, and one list of children per record (as Jira's, Notion's)."""

import re
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.records import Record, iso, seconds_of
from source_api.shapes.shape import Call, Refusal, Shape, require_bearer, too_many, whole

JQL = re.compile(r"(?:updated >= \"(?P<since>[^\"]+)\" )?ORDER BY updated ASC")


class ChildrenShape(Shape):
    """Issues: `POST /search` with `jql`, `startAt` and `maxResults`; comments: `GET /issue/KEY-7/comment?startAt=0`.

    Record n has n modulo (children + 1) comments, and one more with each update. A deleted issue is missing in the
    list, and its comments are a 404.
    """

    name = "children"
    limits = "50/1 second"

    def routes(self) -> list[Route]:
        """Return the list of parents and the lists of children."""
        return [
            self.route("/search", "list", self._search, "POST"),
            self.route("/issue/{key}/comment", "children", self._comments),
        ]

    def comments_of(self, record: Record) -> list[dict[str, Any]]:
        """Return the comments of a record."""
        number = record.number % (self.options.children + 1) + record.revision - 1
        ids = [f"{record.number}-{one}" for one in range(1, number + 1)]
        return [{"id": each, "body": f"comment {each}", "author": record.email} for each in ids]

    def _search(self, call: Call) -> Response:
        self._check(call)
        call.only()
        body = call.json()
        if unknown := body.keys() - {"jql", "startAt", "maxResults", "fields"}:
            raise Refusal(400, f"unknown fields: {sorted(unknown)}")
        asked = JQL.fullmatch(str(body.get("jql", "")))
        since = 0 if asked is None or asked["since"] is None else seconds_of(asked["since"])
        if asked is None or since is None:
            raise Refusal(400, f"cannot read the JQL {body.get('jql')}")
        size = whole(body.get("maxResults", 50), "maxResults", least=1, most=self.options.page)
        start = whole(body.get("startAt", 0), "startAt")
        found = [each for each in self.records.by_change(since) if not each.deleted]
        return _page("issues", [_issue(each) for each in found], start, size)

    def _comments(self, call: Call) -> Response:
        self._check(call)
        call.only("startAt", "maxResults")
        size = call.number("maxResults", otherwise=50, least=1, most=self.options.page)
        record = self.records.get(whole(call.values["key"].removeprefix("KEY-"), "key"))
        if record is None:
            raise Refusal(404, "Issue does not exist")
        if record.deleted:
            return JSONResponse({"errorMessages": ["Issue does not exist or you do not have permission"]}, 404)
        return _page("comments", self.comments_of(record), call.number("startAt", otherwise=0), size)

    def _check(self, call: Call) -> None:
        require_bearer(call)
        too_many(self.admit())


def _page(name: str, found: list[dict[str, Any]], start: int, size: int) -> Response:
    return JSONResponse({"startAt": start, "maxResults": size, "total": len(found), name: found[start : start + size]})


def _issue(record: Record) -> dict[str, Any]:
    fields = {"summary": record.name, "updated": iso(record.modified), "reporter": record.email}
    return {"id": str(record.number), "key": f"KEY-{record.number}", "fields": fields}
