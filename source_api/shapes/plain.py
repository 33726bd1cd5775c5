"""Bare ids with details in XML, and an export in lines of JSON (as feeds, registers and bulk downloads have them)."""

import json
from xml.sax.saxutils import escape

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.records import Record, iso
from source_api.shapes.shape import Call, Shape, require_bearer, too_many


class PlainShape(Shape):
    """Stories: `GET /ids?page=1` (a bare array), `GET /stories/17.xml` with an ETag, `GET /stories.ndjson?page=1`.

    Both lists end with a page without items. The details are in ISO 8859-1.
    """

    name = "plain"
    limits = "60/1 second"

    def routes(self) -> list[Route]:
        """Return both lists and the detail."""
        return [
            self.route("/ids", "list", self._ids),
            self.route("/stories/{number:int}.xml", "detail", self._story),
            self.route("/stories.ndjson", "list", self._lines),
        ]

    def _ids(self, call: Call) -> Response:
        return JSONResponse([each.number for each in self._page(call)])

    def _lines(self, call: Call) -> Response:
        lines = [
            json.dumps({"id": each.number, "title": each.name, "price": each.amount, "updated": iso(each.modified)})
            for each in self._page(call)
        ]
        return Response("".join(f"{line}\n" for line in lines), media_type="application/x-ndjson")

    def _page(self, call: Call) -> list[Record]:
        self._check(call)
        call.only("page")
        page, size = call.number("page", otherwise=1, least=1), self.options.page
        return self.records.live()[(page - 1) * size : page * size]

    def _story(self, call: Call) -> Response:
        self._check(call)
        call.only()
        record = self.records.get(int(call.values["number"]))
        if record is None or record.deleted:
            return Response("<error>no such story</error>", 404, media_type="application/xml")
        tag = f'"{record.number}-{record.revision}"'
        if call.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        text = (
            '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
            f'<story id="{record.number}"><title>{escape(record.name)} é</title>'
            f"<price>{record.amount}</price></story>"
        )
        return Response(text.encode("iso-8859-1"), media_type="application/xml", headers={"ETag": tag})

    def _check(self, call: Call) -> None:
        require_bearer(call)
        too_many(self.admit())
