"""The base of all shapes: calls, refusals, counters, and the routes by which a test reads and changes them.

A shape refuses whatever breaks one of its rules, and counts it: parameters that it does not know, pages that are too
large, wrong credentials, requests over its limits. A client that keeps the rules has no refusal.
"""

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.options import ShapeOptions
from source_api.shapes.records import Record, Records
from source_api.throttle import Decision, Throttle

#: The credentials that every shape except `oauth` accepts.
TOKEN = "shape-token"  # noqa: S105 - of a server for tests
MOST_REFUSALS = 1000


class Refusal(Exception):
    """The answer to a request that breaks a rule."""

    def __init__(self, status: int, reason: str, *, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.response = JSONResponse({"message": reason} if body is None else body, status, headers)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, its body read."""

    path: str
    values: Mapping[str, str]  #: the parts of the path
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes
    base: str  #: the server's own address

    def only(self, *names: str) -> None:
        """Refuse parameters other than those."""
        if unknown := self.query.keys() - set(names):
            raise Refusal(400, f"unknown parameters: {', '.join(sorted(unknown))}")

    def number(self, name: str, *, otherwise: int, least: int = 0, most: int | None = None) -> int:
        """Return a whole number of the query. Refuse any other value."""
        return whole(self.query.get(name, otherwise), name, least=least, most=most)

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object. Refuse any other one, and another content type."""
        if not self.headers.get("content-type", "").startswith("application/json"):
            raise Refusal(415, "the body must be application/json")
        try:
            body = json.loads(self.content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refusal(400, "the body must be a JSON object")
        return body


@dataclass
class Counters:
    """Everything a shape has seen since its start or the last reset."""

    kinds: Counter[str] = field(default_factory=Counter)  #: requests by kind: list, detail, batch, token
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)  #: the first ones, each as "path: reason"
    refused: int = 0
    in_flight: int = 0
    peak: int = 0
    first: float | None = None  #: monotonic seconds of the first request
    last: float | None = None

    def summary(self) -> dict[str, Any]:
        """Return the body of `GET /_stats`."""
        return {
            "requests": self.kinds.total(),
            "by_kind": dict(self.kinds),
            "by_status": {str(status): number for status, number in sorted(self.statuses.items())},
            "refused": self.refused,
            "refusals": self.refusals,
            "peak_concurrency": self.peak,
            "seconds": (self.last or 0) - (self.first or 0),
        }


Handler = Callable[[Call], Response]


class Shape(ABC):
    """One small, strict API. `clock` is monotonic and times the limits; `sleep` waits for the delay, in seconds."""

    name: ClassVar[str]
    limits: ClassVar[str]  #: its own limits, in the notation of `limits`

    def __init__(
        self,
        options: ShapeOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.options = options or ShapeOptions()
        self.records = Records(self.options.items)
        self.counters = Counters()
        self.clock = clock
        self.throttle = Throttle(self.options.tiers(self.limits))
        self._sleep = sleep
        self.prepare()
        own = [
            Route("/_stats", self._stats),
            Route("/_reset", self._reset, methods=["POST"]),
            Route("/_change", self._change, methods=["POST"]),
        ]
        handlers = {HTTPException: self._unknown}
        self.app = Starlette(routes=[*own, *self.routes()], exception_handlers=handlers)

    def prepare(self) -> None:  # noqa: B027 - optional to implement
        """Make the state that a shape has besides its records."""

    @abstractmethod
    def routes(self) -> list[Route]:
        """Return the routes of the API, each made by `route`."""

    def route(self, path: str, kind: str, handler: Handler, method: str = "GET") -> Route:
        """Return a route whose requests are counted under `kind`."""

        async def answer(request: Request) -> Response:
            return await self._answer(request, kind, handler)

        return Route(path, answer, methods=[method])

    def change(self, *, update: list[int] = [], delete: list[int] = [], add: int = 0) -> None:  # noqa: B006 - only read
        """Update, delete and add records, in this order."""
        self.changed(self.records.update(update) + self.records.delete(delete) + self.records.add(add))

    def changed(self, records: list[Record]) -> None:  # noqa: B027 - optional to implement
        """Take note of changed records. A shape with a log of changes overrides it."""

    def admit(self, throttle: Throttle | None = None) -> Decision:
        """Count a request against the limits, by default the shape's own."""
        return (throttle or self.throttle).arrive("all", self.clock())

    async def _answer(self, request: Request, kind: str, handler: Handler) -> Response:
        counters, now = self.counters, self.clock()
        counters.kinds[kind] += 1
        counters.in_flight += 1
        counters.peak = max(counters.peak, counters.in_flight)
        counters.first = now if counters.first is None else counters.first
        try:
            response = self._handled(handler, await _call(request))
            if self.options.delay_ms:
                await self._sleep(self.options.delay_ms / 1000)
        finally:
            counters.in_flight -= 1
            counters.last = self.clock()
        counters.statuses[response.status_code] += 1
        return response

    def _handled(self, handler: Handler, call: Call) -> Response:
        try:
            return handler(call)
        except Refusal as refusal:
            self._refused(call.path, str(refusal))
            return refusal.response

    def _refused(self, path: str, reason: str) -> None:
        self.counters.refused += 1
        if len(self.counters.refusals) < MOST_REFUSALS:
            self.counters.refusals.append(f"{path}: {reason}")

    async def _unknown(self, request: Request, error: Exception) -> Response:
        """Count an unknown path or method as a refusal."""
        if not isinstance(error, HTTPException):
            raise error
        self.counters.kinds["unknown"] += 1
        self.counters.statuses[error.status_code] += 1
        self._refused(request.url.path, error.detail)
        return JSONResponse({"message": error.detail}, error.status_code, error.headers)

    async def _stats(self, request: Request) -> Response:
        return JSONResponse(self.counters.summary())

    async def _reset(self, request: Request) -> Response:
        self.counters = Counters()
        return Response(status_code=204)

    async def _change(self, request: Request) -> Response:
        self.change(**await request.json())
        return Response(status_code=204)


async def _call(request: Request) -> Call:
    return Call(
        path=request.url.path,
        values=dict(request.path_params),
        query=dict(request.query_params),
        headers=dict(request.headers),
        content=await request.body(),
        base=str(request.base_url).rstrip("/"),
    )


def whole(value: object, name: str, *, least: int = 0, most: int | None = None) -> int:
    """Return a whole number from `least` to `most`. Refuse any other value."""
    text = str(value)
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
    if number < least or (most is not None and number > most):
        raise Refusal(422, f"{name}: expected a number from {least} to {most or 'any'}, got {text[:50]}")
    return number


def require_bearer(call: Call) -> None:
    """Refuse a request without the token of the shapes."""
    if call.headers.get("authorization") != f"Bearer {TOKEN}":
        raise Refusal(401, "wrong or missing token")


def too_many(decision: Decision) -> None:
    """Refuse a request over the limits with a 429 and its Retry-After."""
    if not decision.admitted:
        raise Refusal(429, "too many requests", headers={"Retry-After": str(decision.retry_after)})
