"""The application: its routes, as one list, and what each answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from source_api.drift import Change, Drifts
from source_api.faults import Fault, FaultKind, Faults, Place
from source_api.gate import Gate
from source_api.items import ItemStore
from source_api.lifeline import Lifeline
from source_api.options import Options
from source_api.pages import page_request, paginated
from source_api.stats import Stats
from source_api.throttle import Throttle

LIST_PATH = "/api/items"
BODILESS = frozenset({204, 304})


class Api:
    """The endpoints, and what they share."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.items = ItemStore(options.database, count=options.items, seed=options.seed, order=options.order)
        self.drifts = Drifts(options.parsed_drifts)
        self.faults = Faults(options.parsed_faults)
        self.stats = Stats()
        self.throttle = Throttle(options.tiers, options.window)
        self.lifeline = Lifeline()

    def routes(self) -> list[Route]:
        """All there is to ask for. The last four lie outside of the throttle."""
        return [
            Route(f"{LIST_PATH}/{{id}}", self.item),
            Route(LIST_PATH, self.page),
            Route("/", self.home),
            Route("/health", self.health),
            Route("/_stats", self.statistics),
            Route("/_log", self.log),
            Route("/_reset", self.reset, methods=["POST"]),
        ]

    async def item(self, request: Request) -> ASGIApp:
        """One item, or what is planned to happen instead."""
        number = item_number(request.path_params["id"])
        fault = self.faults.next(Place.ITEM, number) if number is not None else None
        if fault is not None:
            return self.trouble(fault)
        item = self.items.item(number) if number is not None else None
        if item is None:
            return JSONResponse({"message": f"No item has the id {request.path_params['id']!r}."}, status_code=404)
        return JSONResponse(item)

    async def page(self, request: Request) -> ASGIApp:
        """One page of the list, or what is planned to happen instead."""
        asked = page_request(request.query_params.get("page"), request.query_params.get("perPage"))
        fault = self.faults.next(Place.PAGE, asked.page)
        if fault is not None:
            return self.trouble(fault)
        data = self.items.short_items(skip=asked.skip, limit=asked.per_page)
        path = str(request.url.replace(query=""))
        answer = JSONResponse(paginated(data, asked=asked, total=self.items.total, path=path))
        for drift in self.drifts.after(asked.page):
            change = self.items.delete_first if drift.change is Change.DELETE else self.items.insert
            change(drift.count)
        return answer

    async def home(self, request: Request) -> Response:
        """What this is."""
        return JSONResponse(
            {
                "name": "Demo API of import_pipeline",
                "items": self.items.total,
                "limits": [str(tier) for tier in self.options.tiers],
                "endpoints": [f"{LIST_PATH}?page=1&perPage=15", f"{LIST_PATH}/1", "/health", "/_stats", "/_log"],
            }
        )

    async def health(self, request: Request) -> Response:
        """Says that the server is there."""
        return JSONResponse({"status": "ok"})

    async def statistics(self, request: Request) -> Response:
        """What the server saw since the start or the last reset."""
        return JSONResponse(self.stats.summary())

    async def log(self, request: Request) -> Response:
        """Every arrival that was let in."""
        return JSONResponse(self.stats.log())

    async def reset(self, request: Request) -> Response:
        """Forgets statistics and windows, and lets faults happen from the first time again."""
        self.stats.forget()
        self.throttle.forget()
        self.faults.forget()
        return Response(status_code=204)

    def trouble(self, fault: Fault) -> ASGIApp:
        """The answer, or the lack of one, that a fault asks for."""
        match fault.kind:
            case FaultKind.HANG:
                return silent(self.lifeline.hang)
            case FaultKind.DROP:
                return silent(self.lifeline.cut)
            case FaultKind.GARBAGE:
                return Response('{"id": 1, "name": "broken of', media_type="application/json")
            case FaultKind.BODY:
                return Response(fault.body, media_type="application/json")
            case FaultKind.STATUS:
                headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
                if fault.status in BODILESS:
                    return Response(status_code=fault.status, headers=headers)
                message = {"message": f"Status {fault.status}, as ordered."}
                return JSONResponse(message, status_code=fault.status, headers=headers)


def item_number(text: str) -> int | None:
    """The id in a path; None for what is written otherwise than the API writes ids."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and not text.startswith("0") else None


def silent(act: Callable[[Scope, Receive], Awaitable[None]]) -> ASGIApp:
    """An endpoint's return value that sends nothing, but acts on the connection."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await act(scope, receive)

    return answer


async def refusal(request: Request, error: Exception) -> Response:
    """What the router refuses (404, 405), as JSON like all the rest."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"message": error.detail}, status_code=error.status_code, headers=error.headers)


def create_app(
    options: Options | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    random: Random | None = None,
) -> Starlette:
    """A demo API of its own, with its items in place; clocks, sleep and random source can be passed in.

    `app.state.api` holds its parts (`stats`, `items`, `throttle`, ...); its lifespan closes the database.
    """
    options = options or Options()
    api = Api(options)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        api.items.close()

    gate = Middleware(
        Gate,
        options=options,
        throttle=api.throttle,
        stats=api.stats,
        clock=clock,
        wall_clock=wall_clock,
        sleep=sleep,
        random=random or Random(options.seed),  # noqa: S311 - jitter, no secret
    )
    app = Starlette(
        routes=api.routes(), middleware=[gate], exception_handlers={HTTPException: refusal}, lifespan=lifespan
    )
    app.state.api = api
    return app
