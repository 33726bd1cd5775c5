"""The application of the demo API: its routes and endpoints."""

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
from source_api.faults import Fault, FaultKind, Faults, Target
from source_api.items import ItemStore
from source_api.middleware import ThrottleMiddleware
from source_api.options import Options
from source_api.pages import page_request, paginated
from source_api.server_control import ServerControl
from source_api.stats import Stats
from source_api.throttle import Throttle

LIST_PATH = "/api/items"
BODILESS = frozenset({204, 304})


class Api:
    """The endpoints and the objects that they share."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.items = ItemStore(options.database, count=options.items, seed=options.seed, order=options.order)
        self.drifts = Drifts(options.parsed_drifts)
        self.faults = Faults(options.parsed_faults)
        self.stats = Stats()
        self.throttle = Throttle(options.tiers, options.window)
        self.control = ServerControl()

    def routes(self) -> list[Route]:
        """Return all routes. The last four are exempt from the rate limits."""
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
        """Answer with one item, or with its planned fault."""
        number = item_number(request.path_params["id"])
        fault = self.faults.next(Target.ITEM, number) if number is not None else None
        if fault is not None:
            return self.trouble(fault)
        item = self.items.item(number) if number is not None else None
        if item is None:
            return JSONResponse({"message": f"No item has the id {request.path_params['id']!r}."}, status_code=404)
        return JSONResponse(item)

    async def page(self, request: Request) -> ASGIApp:
        """Answer with one page of the list, or with its planned fault."""
        asked = page_request(request.query_params.get("page"), request.query_params.get("perPage"))
        fault = self.faults.next(Target.PAGE, asked.page)
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
        """Describe the API."""
        return JSONResponse(
            {
                "name": "Demo API of import_pipeline",
                "items": self.items.total,
                "limits": [str(tier) for tier in self.options.tiers],
                "endpoints": [f"{LIST_PATH}?page=1&perPage=15", f"{LIST_PATH}/1", "/health", "/_stats", "/_log"],
            }
        )

    async def health(self, request: Request) -> Response:
        """Answer that the server runs."""
        return JSONResponse({"status": "ok"})

    async def statistics(self, request: Request) -> Response:
        """Answer with the counters since the start or the last reset."""
        return JSONResponse(self.stats.summary())

    async def log(self, request: Request) -> Response:
        """Answer with every admitted request."""
        return JSONResponse(self.stats.log())

    async def reset(self, request: Request) -> Response:
        """Reset the counters and windows, and make every fault happen again."""
        self.stats.forget()
        self.throttle.forget()
        self.faults.forget()
        return Response(status_code=204)

    def trouble(self, fault: Fault) -> ASGIApp:
        """Return the response of a fault, or the lack of one."""
        match fault.kind:
            case FaultKind.HANG:
                return silent(self.control.hang)
            case FaultKind.DROP:
                return silent(self.control.cut)
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
    """Return the id in a path; None if the API would not write it that way."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and not text.startswith("0") else None


def silent(act: Callable[[Scope, Receive], Awaitable[None]]) -> ASGIApp:
    """Return an endpoint result that sends no response but acts on the connection."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await act(scope, receive)

    return answer


async def refusal(request: Request, error: Exception) -> Response:
    """Answer the router's errors (404, 405) as JSON."""
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
    """Create a demo API with its items. Clocks, sleep and random source can be replaced.

    `app.state.api` holds its parts (`stats`, `items`, `throttle`, ...). The application's lifespan closes the database.
    """
    options = options or Options()
    api = Api(options)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        api.items.close()

    gate = Middleware(
        ThrottleMiddleware,
        options=options,
        throttle=api.throttle,
        stats=api.stats,
        clock=clock,
        wall_clock=wall_clock,
        sleep=sleep,
        random=random or Random(options.seed),  # noqa: S311 - jitter, not a secret
    )
    app = Starlette(
        routes=api.routes(), middleware=[gate], exception_handlers={HTTPException: refusal}, lifespan=lifespan
    )
    app.state.api = api
    return app
