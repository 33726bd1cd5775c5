"""The library's server: books, shelves and items behind one token and one strict throttle."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from source_api.throttle import Throttle, parse_tiers

TOKEN = "library-token"
ODD = [
    "a/b",
    "ü#1",
    "50%",
    "two  words",
    "?q=1&r",
    "...",
    "a%2Fb",
    "'; --",
    "+",
    "日本",
    "é",
    "e\u0301",
    "\U0001f4d6",
    "~",
]
SHELVES = 7


class Library:
    """The application is in `app`; `paths` lists admitted requests, `refused` counts the others."""

    def __init__(self, *, limits, books=60, items=60):
        self.isbns = [*ODD, *(f"978-{number}" for number in range(books - len(ODD)))]
        self.items = items
        self.paths, self.refused = [], 0
        self._throttle = Throttle(parse_tiers(limits))
        routes = [
            Route("/v1/books", self.books),
            Route("/v1/books/{isbn:path}", self.book),
            Route("/v1/shelves", self.shelves),
            Route("/v1/api/items", self.item_list),
            Route("/v1/api/items/{number:int}", self.item),
        ]
        self.app = Starlette(routes=routes, middleware=[Middleware(AccessMiddleware, library=self)])

    def verdict(self, headers):
        """Return an error response, or None to admit the request."""
        if headers.get(b"authorization") != f"Bearer {TOKEN}".encode():
            return JSONResponse({"error": "who are you?"}, status_code=401)
        if not self._throttle.arrive("all", time.monotonic()).admitted:
            self.refused += 1
            return JSONResponse({"error": "too many"}, status_code=429, headers={"Retry-After": "1"})
        return None

    async def books(self, request: Request):
        """Ids after a cursor."""
        start = int(urlsafe_b64decode(request.query_params.get("cursor", "") or "MA=="))
        stop = start + int(request.query_params["take"])
        cursor = urlsafe_b64encode(str(stop).encode()).decode() if stop < len(self.isbns) else None
        return JSONResponse({"isbns": self.isbns[start:stop], "cursor": cursor})

    async def book(self, request: Request):
        """One book, in an envelope."""
        isbn = request.path_params["isbn"]
        if isbn not in self.isbns:
            return JSONResponse({"error": f"no {isbn!r}"}, status_code=404)
        return JSONResponse({"book": {"isbn": isbn, "title": f"About {isbn}", "pages": str(10 + len(isbn))}})

    async def shelves(self, request: Request):
        """Three shelves per page, with a link to the next page."""
        start = int(request.query_params.get("from", "0"))
        data = [{"code": f"S/{number}", "room": "north"} for number in range(SHELVES)[start : start + 3]]
        following = f'<{request.url.include_query_params(**{"from": start + 3})}>; rel="next"'
        return JSONResponse(data, headers={"Link": following} if start + 3 < SHELVES else None)

    async def item_list(self, request: Request):
        """All items on one page."""
        data = [{"id": number, "name": "n"} for number in range(1, self.items + 1)]
        return JSONResponse({"data": data, "current_page": 1, "last_page": 1, "total": self.items})

    async def item(self, request: Request):
        """One item."""
        return JSONResponse({"id": request.path_params["number"], "name": "n", "price": "1.00"})


class AccessMiddleware:
    """Checks the token and the rate limit before all routes."""

    def __init__(self, app, library):
        self._app, self._library = app, library

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            refusal = self._library.verdict(dict(scope["headers"]))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            self._library.paths.append(scope["path"])
        await self._app(scope, receive, send)
