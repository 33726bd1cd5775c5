"""A strict list API that names its next page in any of the usual ways, and a source for it in a few lines."""

import json

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.paginators import Cursor, LastId, LinkHeader, NextUrl, Offset, PageNumber
from import_pipeline.sources.items import ImportedItem
from import_pipeline_tests.support.changing_list import detail

#: A way to name the next page -> the paginator that its source declares.
PAGINATORS = {
    "numbers": PageNumber(),
    "numbers from 0, with the last one": PageNumber(param="p", start=0, last="meta.pages"),
    "numbers with a flag": PageNumber(param="page[number]", size="page[size]", more="more"),
    "offset": Offset(),
    "offset with a total": Offset(param="skip", size="top", total="meta.total"),
    "offset in a body": Offset(where="json", total="meta.total"),
    "cursor": Cursor(next="paging.next.after", param="after", size="limit"),
    "cursor and flag": Cursor(next="next_cursor", param="start_cursor", more="has_more", where="json"),
    "graphql": Cursor(
        next="data.page_info.end",
        more="data.page_info.more",
        param="variables.after",
        size="variables.first",
        where="json",
    ),
    "address": NextUrl("links.next"),
    "relative address": NextUrl("next_page_url"),
    "link header": LinkHeader(),
    "last id": LastId(),
    "last id without a flag": LastId(param="min_id", more=None, id="key.id"),
}
#: Ways whose list continues after a page without items, since something else names the next page.
PASSES_EMPTY_PAGES = set(PAGINATORS) - {"numbers", "offset", "last id", "last id without a flag"}


class PagedSource(ImportSource):
    """The example's items in such a list."""

    name = "items"
    model = ImportedItem
    base_url = "https://api.test"
    per_page = 3

    def __init__(self, way):
        self.pages = PAGINATORS[way]

    def list_request(self):
        """Return a request with a filter. Each page's request must have it, too."""
        if getattr(self.pages, "where", "query") == "json":
            return httpx.Request("POST", "/api/items", json={"filter": "a b"}, headers={"X-List": "v2"})
        return httpx.Request("GET", "/api/items?filter=a%20b", headers={"X-List": "v2"})

    def items(self, list_response):
        return list_response.json()["items"]

    def stub(self, item):
        return ImportedItem(external_id=str(item["id"]), name="n")


class PagedApi:
    """Answers `pages`, a list of lists of ids, and refuses what the way of naming pages does not allow.

    `asked` has the number of each requested page, from 0.
    """

    def __init__(self, way, pages):
        self.way, self.pages, self.asked = way, pages, []
        self.paginator = PAGINATORS[way]
        self.starts = [sum(map(len, pages[:number])) for number in range(len(pages) + 1)]

    def __call__(self, request):
        if not request.url.path.startswith("/api/items") or request.url.path.count("/") > 2:
            return detail(request.url.path.rpartition("/")[2])
        body = json.loads(request.content) if request.content else {}
        given = dict(request.url.params) | body
        if given.pop("filter", None) != "a b" or request.headers["x-list"] != "v2":
            return httpx.Response(400, json={"message": "the filter is missing"})
        number = self.number(given)
        if number is None or not number >= 0:
            return httpx.Response(400, json={"message": f"no page {given}"})
        self.asked.append(number)
        ids = self.pages[number] if number < len(self.pages) else []
        return self.page(number, [{"id": each, "key": {"id": each}} for each in ids])

    def number(self, given):
        """Return the number of the page that the parameters request; None without one."""
        match self.paginator:
            case PageNumber(param=param, start=start, size=size):
                return int(given[param]) - start if given.get(size) == "3" else None
            case Offset(param=param, size=size):
                return self.after(int(given[param])) if str(given.get(size)) == "3" else None
            case Cursor(where="json", param=param) if "." in param:
                return int(given["variables"].get("after", "c0")[1:]) if given["variables"]["first"] == 3 else None
            case Cursor(param=param):
                return int(given.get(param, "c0")[1:])
            case LastId(param=param):
                return 0 if param not in given else self.after(self.index(int(given[param])) + 1)
        return int(given.get("token", 0))

    def after(self, offset):
        """Return the first page with items that begins at or after the offset."""
        if not self.starts[-1]:
            return 0
        return next((n for n, start in enumerate(self.starts) if start >= offset and self.has(n)), len(self.pages))

    def has(self, number):
        return number >= len(self.pages) or bool(self.pages[number])

    def index(self, item_id):
        return [each for page in self.pages for each in page].index(item_id)

    def page(self, number, items):
        has_more = number + 1 < len(self.pages)
        cursor, address = f"c{number + 1}", f"/api/items?filter=a%20b&token={number + 1}"
        body = {"items": items}
        match self.way:
            case "numbers from 0, with the last one":
                body["meta"] = {"pages": max(0, len(self.pages) - 1)}
            case "numbers with a flag":
                body["more"] = has_more
            case "offset with a total" | "offset in a body":
                body["meta"] = {"total": self.starts[-1]}
            case "cursor":
                body["paging"] = {"next": {"after": cursor}} if has_more else {}
            case "cursor and flag":
                body |= {"has_more": has_more, "next_cursor": cursor if has_more else None}
            case "graphql":
                body["data"] = {"page_info": {"more": has_more, "end": cursor}}
            case "address":
                body["links"] = {"next": f"https://api.test{address}" if has_more else None}
            case "relative address":
                body |= {"next_page_url": address} if has_more else {}
            case "link header":
                return httpx.Response(200, json=body, headers={"Link": f'<{address}>; rel="next"'} if has_more else {})
            case "last id":
                body["has_more"] = has_more
        return body
