"""A search by POST that ends after 10,000 results, and details in batches of 100 (as HubSpot's)."""

from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.records import Record, iso, seconds_of
from source_api.shapes.shape import Call, Refusal, Shape, require_bearer, too_many, whole
from source_api.throttle import Throttle

SEARCH_LIMITS = "5/1 second"
BATCH = 100
FILTERS: dict[str, Callable[[Record], int]] = {
    "createdate": lambda record: record.created,
    "lastmodifieddate": lambda record: record.modified,
}
OPERATORS: dict[str, Callable[[int, int, int], bool]] = {
    "GTE": lambda value, bound, _: value >= bound,
    "LT": lambda value, bound, _: value < bound,
    "BETWEEN": lambda value, bound, high: bound <= value <= high,
}


class SearchShape(Shape):
    """Contacts: `POST /contacts/search` with filters, `POST /contacts/batch/read` with up to 100 ids.

    The search has a limit of its own, five a second. Limits of the options hold for each of both by itself. No page
    goes beyond 10,000 results. It brings ids and times; a batch lacks the ids that do not exist.
    """

    name = "search"
    limits = "100/10 second"

    def prepare(self) -> None:
        """Make the limit of the search."""
        self._searches = Throttle(self.options.tiers(SEARCH_LIMITS))

    def routes(self) -> list[Route]:
        """Return the search and the batch."""
        return [
            self.route("/contacts/search", "list", self._search, "POST"),
            self.route("/contacts/batch/read", "batch", self._batch, "POST"),
        ]

    def _search(self, call: Call) -> Response:
        require_bearer(call)
        too_many(self.admit(self._searches))
        call.only()
        body = call.json()
        if unknown := body.keys() - {"filterGroups", "sorts", "limit", "after", "properties"}:
            raise Refusal(400, f"unknown fields: {sorted(unknown)}")
        size = whole(body.get("limit", 10), "limit", least=1, most=self.options.page)
        start = whole(body.get("after", 0), "after")
        if start + size > self.options.cap:
            raise Refusal(400, f"no results beyond {self.options.cap}: narrow the search")
        found = _sorted([each for each in self.records.live() if _matches(each, body)], body.get("sorts") or [])
        shown = [_short(each) for each in found[start : start + size]]
        answer: dict[str, Any] = {"total": len(found), "results": shown}
        if start + size < len(found):
            answer["paging"] = {"next": {"after": str(start + size)}}
        return JSONResponse(answer)

    def _batch(self, call: Call) -> Response:
        require_bearer(call)
        too_many(self.admit())
        call.only()
        body = call.json()
        inputs, names = body.get("inputs"), body.get("properties")
        if body.keys() - {"inputs", "properties"} or not isinstance(inputs, list) or not isinstance(names, list):
            raise Refusal(400, "expected inputs and properties")
        if not 1 <= len(inputs) <= BATCH:
            raise Refusal(400, f"expected 1 to {BATCH} inputs, got {len(inputs)}")
        wanted = [whole(each.get("id"), "id") for each in inputs]
        if len(set(wanted)) < len(wanted):
            raise Refusal(400, "duplicate ids")
        found = [each for number in wanted if (each := self.records.get(number)) and not each.deleted]
        results = [_short(each) | {"properties": {name: _property(each, name) for name in names}} for each in found]
        return JSONResponse({"status": "COMPLETE", "results": results}, 200 if len(found) == len(wanted) else 207)


def _matches(record: Record, body: dict[str, Any]) -> bool:
    groups = body.get("filterGroups") or [{"filters": []}]
    return any(all(_passes(record, each) for each in group["filters"]) for group in groups)


def _passes(record: Record, condition: dict[str, Any]) -> bool:
    name, operator = condition.get("propertyName"), condition.get("operator")
    bound = seconds_of(str(condition.get("value")))
    high = seconds_of(str(condition.get("highValue"))) if operator == "BETWEEN" else bound
    if name not in FILTERS or operator not in OPERATORS or bound is None or high is None:
        raise Refusal(400, f"unknown filter: {condition}")
    return OPERATORS[operator](FILTERS[name](record), bound, high)


def _sorted(found: list[Record], sorts: list[dict[str, str]]) -> list[Record]:
    for each in sorts:
        if each.get("propertyName") not in FILTERS or each.get("direction") not in {"ASCENDING", "DESCENDING"}:
            raise Refusal(400, f"unknown sort: {each}")
        found = sorted(found, key=FILTERS[each["propertyName"]], reverse=each["direction"] == "DESCENDING")
    return found


def _short(record: Record) -> dict[str, Any]:
    return {
        "id": str(record.number),
        "createdAt": iso(record.created),
        "updatedAt": iso(record.modified),
        "properties": {},
    }


def _property(record: Record, name: str) -> str:
    values = {"firstname": record.name, "email": record.email, "amount": record.amount}
    if name not in values:
        raise Refusal(400, f"unknown property: {name}")
    return values[name]
