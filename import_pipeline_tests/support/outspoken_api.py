"""An API that says what it means in its own way, with a search limited apart from the rest; and the source of it."""

import time

import httpx
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from import_pipeline import FAIL, GONE, RATE_LIMITED, SKIP, STOP, ImportableMixin, ImportSource, PageNumber
from source_api.throttle import Throttle, parse_tiers

SEARCH, REST = "5/1 second", "60/1 second"
PAGES, SIZE = 8, 10
#: What the details of these items say, each time; all others are good.
SAYINGS = {"11": 404, "22": 404, "33": 410, "44": "draft", "55": "private"}


class OutspokenApi:
    """The application is in `app`; `refused` counts requests beyond its limits, `seen` has all paths.

    The first request for items 5 and 9 is refused: by a 403 without any hint, and by a 200 with an error. Once
    `is_expired` is set, each detail says that the subscription has expired.
    """

    def __init__(self):
        self.refused, self.seen, self.is_expired = 0, [], False
        self._search, self._rest = Throttle(parse_tiers(SEARCH)), Throttle(parse_tiers(REST))
        routes = [Route("/v1/search/things", self.search), Route("/v1/things/{number}", self.thing)]
        self.app = Starlette(routes=routes)

    def _is_admitted(self, throttle: Throttle, request: Request) -> bool:
        self.seen.append(request.url.path)
        admitted = throttle.arrive("all", time.monotonic()).admitted
        self.refused += not admitted
        return admitted

    async def search(self, request: Request) -> Response:
        """Return a page of ids."""
        if not self._is_admitted(self._search, request):
            return Response(status_code=429)
        page = int(request.query_params["page"])
        numbers = range((page - 1) * SIZE + 1, page * SIZE + 1)
        return JSONResponse({"things": [{"id": number} for number in numbers], "pages": PAGES})

    async def thing(self, request: Request) -> Response:
        """Return a thing, or what is wrong with it."""
        if not self._is_admitted(self._rest, request):
            return Response(status_code=429)
        number = request.path_params["number"]
        is_first = self.seen.count(request.url.path) == 1
        if self.is_expired:
            return JSONResponse({"error": "expired"})
        if number == "5" and is_first:
            return Response(status_code=403)
        if number == "9" and is_first:
            return JSONResponse({"error": "slow down"})
        said = SAYINGS.get(number)
        if isinstance(said, int):
            return JSONResponse({"error": "no such thing"}, status_code=said)
        return JSONResponse({"error": said} if said else {"name": f"thing {number}"})


class Base(DeclarativeBase):
    """The table of the user."""


class Thing(ImportableMixin, Base):
    """A thing; the list has only its id."""

    __tablename__ = "outspoken_things"

    key: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(50))

    def detail_request(self):
        """Request /v1/things/{id}."""
        return httpx.Request("GET", f"/things/{self.external_id}")

    def populate(self, detail):
        """Copy the name."""
        self.name = detail["name"]


class Things(ImportSource):
    """The things, listed by a search with limits of its own."""

    name, model, per_page, pages = "things", Thing, SIZE, PageNumber(last="pages")
    limits = {"/search": SEARCH, "": REST}

    def list_request(self):
        """Request /v1/search/things."""
        return httpx.Request("GET", "/search/things")

    def items(self, list_response):
        """Return the things of a page."""
        return list_response.json()["things"]

    def stub(self, item):
        """Return a row with the id only."""
        return Thing(external_id=str(item["id"]))

    def classify(self, response):
        """Read the error in the body."""
        if response.status_code == 403 and not response.content:
            return RATE_LIMITED
        error = response.json().get("error") if response.is_success else None
        actions = {"slow down": RATE_LIMITED(wait=0.5), "draft": SKIP, "deleted": GONE}
        actions |= {"private": FAIL("the account may not read it"), "expired": STOP("the subscription has expired")}
        return actions.get(error)


SOURCES = [Things()]
