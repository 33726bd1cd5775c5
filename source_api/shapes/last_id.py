"""Pages after the last id, newest first, and a list of events as the way to changes (as Stripe's)."""

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.records import Record
from source_api.shapes.shape import Call, Refusal, Shape, require_bearer, too_many, whole


class LastIdShape(Shape):
    """Customers: `GET /v1/customers?starting_after=cus_7&limit=100`, `GET /v1/customers/cus_7`, `GET /v1/events`.

    Lists are newest first, with `has_more`. Both take `created[gte]`. A deleted customer is missing in the list, and
    its detail is `{"id": ..., "deleted": true}`. The events name each change; their `created` is its moment.
    """

    name = "last_id"
    limits = "25/1 second"

    def prepare(self) -> None:
        """Begin without events."""
        self._events: list[dict[str, Any]] = []

    def routes(self) -> list[Route]:
        """Return both lists and the detail."""
        return [
            self.route("/v1/customers", "list", self._customers),
            self.route("/v1/customers/{id}", "detail", self._customer),
            self.route("/v1/events", "list", self._page_of_events),
        ]

    def changed(self, records: list[Record]) -> None:
        """Write an event for each change."""
        for each in records:
            kind = "deleted" if each.deleted else "created" if each.revision == 1 else "updated"
            self._events.append(
                {
                    "id": f"evt_{len(self._events) + 1}",
                    "type": f"customer.{kind}",
                    "created": each.modified,
                    "data": {"object": _customer(each)},
                }
            )

    def _customers(self, call: Call) -> Response:
        newest = sorted(self.records.live(), key=lambda each: (each.created, each.number), reverse=True)
        return self._page(call, [_customer(each) for each in newest])

    def _page_of_events(self, call: Call) -> Response:
        return self._page(call, self._events[::-1])

    def _page(self, call: Call, found: list[dict[str, Any]]) -> Response:
        self._check(call)
        call.only("limit", "starting_after", "created[gte]")
        size = call.number("limit", otherwise=10, least=1, most=self.options.page)
        since = call.number("created[gte]", otherwise=0)
        found = [each for each in found if each["created"] >= since]
        after, start = call.query.get("starting_after"), 0
        if after is not None:
            ids = [each["id"] for each in found]
            if after not in ids:
                raise Refusal(400, f"No such object: {after}")
            start = ids.index(after) + 1
        shown = found[start : start + size]
        return JSONResponse({"object": "list", "data": shown, "has_more": start + size < len(found)})

    def _customer(self, call: Call) -> Response:
        self._check(call)
        call.only()
        number = whole(call.values["id"].removeprefix("cus_"), "id")
        record = self.records.get(number)
        if record is None:
            raise Refusal(404, f"No such customer: {call.values['id']}")
        return JSONResponse({"id": f"cus_{number}", "deleted": True} if record.deleted else _customer(record))

    def _check(self, call: Call) -> None:
        require_bearer(call)
        too_many(self.admit())


def _customer(record: Record) -> dict[str, Any]:
    return {
        "id": f"cus_{record.number}",
        "created": record.created,
        "name": record.name,
        "email": record.email,
        "balance": record.amount,
    }
