"""Pages by Link header, details with an ETag, a second limit that answers 403 without any hint (as GitHub's)."""

import math
import time
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.records import Record, iso, seconds_of
from source_api.shapes.shape import Call, Refusal, Shape, require_bearer
from source_api.throttle import Throttle, parse_tiers

PRIMARY = "5000/3600 second"
MOST_IN_FLIGHT = 100


class LinkHeaderShape(Shape):
    """Issues: `GET /issues?since=...&page=1&per_page=100`, and `GET /issues/17`.

    A 304 takes no place in the primary limit. Over that limit the answer is a 403 with its headers; over the secondary
    limit or with over 100 requests in flight, a 403 with a message only.
    """

    name = "link_header"
    limits = "900/60 second"  #: the secondary limit

    def prepare(self) -> None:
        """Make the primary limit."""
        self._primary = Throttle(parse_tiers(PRIMARY))

    def routes(self) -> list[Route]:
        """Return the list and the detail."""
        return [
            self.route("/issues", "list", self._page),
            self.route("/issues/{number:int}", "detail", self._detail),
        ]

    def _page(self, call: Call) -> Response:
        self._check(call)
        call.only("page", "per_page", "since", "sort", "direction", "state")
        size = call.number("per_page", otherwise=30, least=1, most=self.options.page)
        page = call.number("page", otherwise=1, least=1)
        since = seconds_of(call.query.get("since", iso(0)))
        if since is None:
            raise Refusal(422, "since: expected a time with an offset")
        found = self._sorted(call, since)
        shown = found[(page - 1) * size : page * size]
        link = self._link(call, page, math.ceil(len(found) / size))
        body = [{"number": each.number, "title": each.name, "updated_at": iso(each.modified)} for each in shown]
        return self._answer_once(call, body, f'W/"{page}-{hash(tuple(shown))}"', {"Link": link} if link else {})

    def _sorted(self, call: Call, since: int) -> list[Record]:
        live = [each for each in self.records.by_change(since) if not each.deleted]
        if call.query.get("sort", "created") == "created":
            live.sort(key=lambda each: (each.created, each.number))
        return live if call.query.get("direction", "desc") == "asc" else live[::-1]

    def _detail(self, call: Call) -> Response:
        self._check(call)
        call.only()
        record = self.records.get(int(call.values["number"]))
        if record is None or record.deleted:
            return JSONResponse({"message": "Not Found"}, 404 if record is None else 410)
        body = {
            "number": record.number,
            "title": record.name,
            "user": {"login": record.email},
            "body": f"costs {record.amount}",
            "updated_at": iso(record.modified),
        }
        return self._answer_once(call, body, f'W/"{record.number}-{record.revision}"', {})

    def _check(self, call: Call) -> None:
        require_bearer(call)
        if not call.headers.get("user-agent"):
            raise Refusal(403, "a User-Agent is required")
        if self.counters.in_flight > MOST_IN_FLIGHT or not self.admit().admitted:
            raise Refusal(403, "You have exceeded a secondary rate limit. Please wait a few minutes.")

    def _answer_once(self, call: Call, body: object, tag: str, headers: dict[str, str]) -> Response:
        """Return the body, or 304 for a client that has it; only the body counts in the primary limit."""
        if call.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        decision = self.admit(self._primary)
        if decision.status is not None:
            headers["X-RateLimit-Limit"] = str(decision.status.limit)
            headers["X-RateLimit-Remaining"] = str(decision.status.remaining)
            headers["X-RateLimit-Reset"] = str(math.ceil(time.time() + decision.status.reset))
        if not decision.admitted:
            raise Refusal(403, "API rate limit exceeded", headers=headers)
        return JSONResponse(body, headers={"ETag": tag, **headers})

    def _link(self, call: Call, page: int, last: int) -> str:
        pages = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        if last <= 1:
            return ""
        shown = {rel: each for rel, each in pages.items() if 1 <= each <= last and (rel != "last" or page < last)}
        return ", ".join(
            f'<{call.base}/issues?{urlencode({**call.query, "page": each})}>; rel="{rel}"'
            for rel, each in shown.items()
        )
