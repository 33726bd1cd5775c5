"""An export of changes with an inclusive cursor and tombstones (as Zendesk's)."""

import time
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.records import Record, iso
from source_api.shapes.shape import Call, Refusal, Shape, require_bearer, too_many

#: Seconds: a start time must be older than this.
SETTLED = 60


class ExportShape(Shape):
    """Tickets: `GET /incremental/tickets.json?start_time=1704067200&per_page=1000`.

    A page brings the records changed at `start_time` or later, in the order of their changes, and goes on until all
    records of its last moment are on it. `next_page` begins at that moment again, so its records come twice. It is
    there on the last page, too; `end_of_stream` says that nothing follows. Deleted records have the status `deleted`.
    """

    name = "export"
    limits = "10/60 second"

    def routes(self) -> list[Route]:
        """Return the export."""
        return [self.route("/incremental/tickets.json", "list", self._page)]

    def _page(self, call: Call) -> Response:
        require_bearer(call)
        too_many(self.admit())
        call.only("start_time", "per_page")
        if "start_time" not in call.query:
            raise Refusal(400, "start_time is required")
        start = call.number("start_time", otherwise=0, least=0)
        if start > time.time() - SETTLED:
            raise Refusal(422, "start_time must be at least a minute ago")
        size = call.number("per_page", otherwise=1000, least=1, most=max(1000, self.options.page))
        found = self.records.by_change(start)
        shown = found[:size]
        if shown:
            # All records of the last moment, so that the next page begins at a later one.
            shown = [each for each in found if each.modified <= shown[-1].modified]
        end = shown[-1].modified if shown else start
        return JSONResponse(
            {
                "tickets": [_ticket(each) for each in shown],
                "count": len(shown),
                "end_time": end,
                "end_of_stream": len(shown) == len(found),
                "next_page": f"{call.base}/incremental/tickets.json?start_time={end}&per_page={size}",
            }
        )


def _ticket(record: Record) -> dict[str, Any]:
    return {
        "id": record.number,
        "subject": record.name,
        "requester": record.email,
        "status": "deleted" if record.deleted else "open",
        "generated_timestamp": record.modified,
        "updated_at": iso(record.modified),
    }
