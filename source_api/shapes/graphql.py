"""GraphQL by POST, a bucket of cost units, errors in a 200 (as Shopify's)."""

import re
from base64 import b64decode, b64encode
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.errors import BadOption
from source_api.shapes.records import Record, iso, seconds_of
from source_api.shapes.shape import TOKEN, Call, Refusal, Shape, whole
from source_api.throttle import Tier

VARIABLES = {"first", "after", "query"}
FILTER = re.compile(r"updated_at:>=?'?(?P<at>[0-9TZ:.+-]+)'?")
FIELDS = {"id", "name", "email", "totalPrice", "updatedAt"}


class GraphqlShape(Shape):
    """Orders: `POST /graphql.json` with `query` and the variables `first`, `after` and `query`.

    A request costs 2 + `first` units of a bucket that fills evenly. One that costs more than the bucket holds is
    answered with 200 and the error THROTTLED; each answer names the state of the bucket.
    """

    name = "graphql"
    limits = "1000/20 second"  #: the bucket holds 1000 units, and 50 come back each second

    def prepare(self) -> None:
        """Make the bucket."""
        tiers = self.options.tiers(self.limits) or (Tier(amount=10**9, seconds=1),)
        if len(tiers) > 1:
            raise BadOption("--limits", expected="one tier, such as '1000/20 second'", got=self.options.limits)
        self._bucket = Bucket(tiers[0])

    def routes(self) -> list[Route]:
        """Return the only path."""
        return [self.route("/graphql.json", "list", self._query, "POST")]

    def _query(self, call: Call) -> Response:
        if call.headers.get("x-access-token") != TOKEN:
            raise Refusal(401, "wrong or missing X-Access-Token")
        call.only()
        body = call.json()
        text, variables = str(body.get("query", "")), body.get("variables") or {}
        fields = re.search(r"nodes\s*\{([^{}]*)\}", text)
        if "orders(" not in text or fields is None or not set(fields[1].split()) <= FIELDS:
            raise self._error("syntax", "unknown field or connection")
        if unknown := variables.keys() - VARIABLES:
            raise self._error("syntax", f"unknown variables {sorted(unknown)}")
        first = whole(variables.get("first"), "first", least=1, most=min(250, self.options.page))
        now, cost = self.clock(), 2 + first
        if not self._bucket.take(cost, now):
            raise self._error("THROTTLED", "Throttled", cost=cost, now=now)
        found = self._found(variables.get("query") or "", by_change="sortKey: UPDATED_AT" in text)
        start = self._start(found, variables.get("after"))
        shown = found[start : start + first]
        data = {"nodes": [_node(each, fields[1].split()) for each in shown]}
        page_info = {
            "hasNextPage": start + first < len(found),
            "endCursor": _cursor(shown[-1]) if shown else None,
        }
        return JSONResponse({"data": {"orders": data | {"pageInfo": page_info}}, "extensions": self._cost(cost, now)})

    def _found(self, condition: str, *, by_change: bool) -> list[Record]:
        since = 0
        if condition:
            named = FILTER.fullmatch(condition)
            moment = seconds_of(named["at"]) if named else None
            if moment is None:
                raise self._error("syntax", f"unknown filter {condition!r}")
            since = moment
        live = [each for each in self.records.by_change(since) if not each.deleted]
        return live if by_change else sorted(live, key=lambda each: each.number)

    def _start(self, found: list[Record], after: str | None) -> int:
        if after is None:
            return 0
        cursors = [_cursor(each) for each in found]
        if after not in cursors:
            raise self._error("syntax", f"unknown cursor {_readable(after)}")
        return cursors.index(after) + 1

    def _error(self, code: str, message: str, *, cost: int = 0, now: float | None = None) -> Refusal:
        errors = [{"message": message, "extensions": {"code": code}}]
        return Refusal(200, message, body={"errors": errors, "extensions": self._cost(cost, now or self.clock())})

    def _cost(self, cost: int, now: float) -> dict[str, Any]:
        return {"cost": {"requestedQueryCost": cost, "throttleStatus": self._bucket.status(now)}}


class Bucket:
    """Cost units that come back evenly."""

    def __init__(self, tier: Tier) -> None:
        self.size, self.rate = float(tier.amount), tier.amount / tier.seconds
        self._units, self._as_of = self.size, 0.0

    def take(self, cost: int, now: float) -> bool:
        """Take the units if the bucket holds them; return True then."""
        self._fill(now)
        if self._units < cost:
            return False
        self._units -= cost
        return True

    def status(self, now: float) -> dict[str, float]:
        """Return the state of the bucket as answers name it."""
        self._fill(now)
        return {"maximumAvailable": self.size, "currentlyAvailable": int(self._units), "restoreRate": self.rate}

    def _fill(self, now: float) -> None:
        self._units = min(self.size, self._units + max(0.0, now - self._as_of) * self.rate)
        self._as_of = now


def _node(record: Record, fields: list[str]) -> dict[str, Any]:
    node = {
        "id": f"gid://shop/Order/{record.number}",
        "name": record.name,
        "email": record.email,
        "totalPrice": record.amount,
        "updatedAt": iso(record.modified),
    }
    return {name: node[name] for name in fields}


def _cursor(record: Record) -> str:
    return b64encode(f"{record.modified}-{record.number}".encode()).decode()


def _readable(cursor: str) -> str:
    try:
        return b64decode(cursor).decode()
    except ValueError:
        return cursor
