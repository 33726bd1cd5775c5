"""The ASGI middleware before the application: delays, token, rate limits, rate-limit headers, statistics.

delay before -> token (401) -> rate limits (429) -> delay after -> application
"""

import math
import secrets
from collections.abc import Awaitable, Callable
from random import Random

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from source_api.options import Options
from source_api.stats import RequestRecord, Stats
from source_api.throttle import Decision, LimitStatus, Throttle

#: paths without counting, limits and token
FREE_PATHS = frozenset({"/health", "/_stats", "/_log", "/_reset"})


class ThrottleMiddleware:
    """Middleware that admits requests and records their responses.

    `clock` is monotonic and times the requests. `wall_clock` gives the epoch seconds of X-RateLimit-Reset. `sleep`
    waits for the delays; `random` draws the jitter. All values are in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        options: Options,
        throttle: Throttle,
        stats: Stats,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Random,
    ) -> None:
        self._app = app
        self._options = options
        self._throttle = throttle
        self._stats = stats
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._random = random
        self._credentials = None if options.token is None else f"Bearer {options.token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. The lifespan passes through."""
        if scope["type"] != "http" or scope["path"] in FREE_PATHS:
            await self._app(scope, receive, send)
            return
        record = self._stats.begin(scope["path"])
        try:
            await self._pass(record, scope, receive, send)
        finally:
            self._stats.end(record)

    async def _pass(self, record: RequestRecord, scope: Scope, receive: Receive, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = []

        async def send_and_record(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._stats.answer(record, message["status"])
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._delay(self._options.delay_before_ms)
        credentials = Headers(scope=scope).get("authorization")
        if self._credentials is not None and not self._knows(credentials):
            await unauthorized(scope, receive, send_and_record)
            return
        now = self._clock()
        decision = self._throttle.arrive(credentials or address(scope), now)
        if decision.status is not None and self._options.rate_headers:
            headers += rate_headers(decision.status, epoch=self._wall_clock())
        if decision.admitted:
            self._stats.admit(record, now)
        await self._delay(self._options.delay_after_ms)
        answer = self._app if decision.admitted else too_many_requests(decision, say_when=self._options.retry_after)
        await answer(scope, receive, send_and_record)

    async def _delay(self, milliseconds: float) -> None:
        if milliseconds or self._options.jitter_ms:
            await self._sleep((milliseconds + self._random.uniform(0, self._options.jitter_ms)) / 1000)

    def _knows(self, credentials: str | None) -> bool:
        return self._credentials is not None and secrets.compare_digest(
            (credentials or "").encode("latin-1"), self._credentials
        )


def address(scope: Scope) -> str:
    """Return the client's IP address; empty if the transport has none."""
    client = scope.get("client")
    return client[0] if client else ""


def rate_headers(status: LimitStatus, *, epoch: float) -> list[tuple[bytes, bytes]]:
    """Return the X-RateLimit headers. Reset is the second at which a used permit is free again."""
    return [
        (b"x-ratelimit-limit", b"%d" % status.limit),
        (b"x-ratelimit-remaining", b"%d" % status.remaining),
        (b"x-ratelimit-reset", b"%d" % math.ceil(epoch + status.reset)),
    ]


def too_many_requests(decision: Decision, *, say_when: bool) -> JSONResponse:
    """Return the response to a request over the limits."""
    return JSONResponse(
        {"message": "Too Many Attempts.", "retry_after": decision.retry_after},
        status_code=429,
        headers={"Retry-After": str(decision.retry_after)} if say_when else None,
    )


unauthorized = JSONResponse({"message": "Unauthenticated."}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
