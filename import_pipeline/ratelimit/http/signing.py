"""Signing: the authentication of a request between the grant of its permit and its sending.

A token or a time stamp may expire while a request waits for its permit. So the flow of an `httpx.Auth` starts when the
permit is there. It works on copies, so that the request itself never holds credentials.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from import_pipeline.clock import Clock
from import_pipeline.ratelimit.http.body import BodyReader, headers_of_unpacked
from import_pipeline.ratelimit.http.response import Answer
from import_pipeline.redaction import is_sensitive_header, remember_request

#: Seconds of waiting after which a request that is signed already is signed anew.
STALE_SECONDS = 0.5
#: The flow of one request starts anew at most this often because of waits.
MOST_NEW_STARTS = 3


class PlainRequest:
    """A request without authentication."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self.response: httpx.Response | None = None

    async def next(self) -> httpx.Request | None:
        """Return the request to send with the permit that was just granted."""
        return self._request

    async def take(self, response: httpx.Response) -> bool:
        """Take the response; return True if another request follows it."""
        self.response = response
        return False

    async def start_anew(self) -> None:
        """Forget what was sent: the request is repeated."""


class SignedRequest(PlainRequest):
    """A request with the flow of an `httpx.Auth`.

    `send_free` sends a request of the flow to an origin without permits, such as a token server. `is_free` decides it.
    """

    def __init__(
        self,
        request: httpx.Request,
        auth: httpx.Auth,
        clock: Clock,
        extensions: dict[str, Any],
        is_free: Callable[[httpx.Request], bool],
        send_free: Callable[[httpx.Request], Awaitable[httpx.Response]],
    ) -> None:
        super().__init__(request)
        self._auth, self._clock, self._extensions = auth, clock, extensions
        self._is_free, self._send_free = is_free, send_free
        self._flow: AsyncGenerator[httpx.Request, httpx.Response] | None = None
        self._wanted: httpx.Request | None = None
        self._wanted_at = 0.0
        self._is_owed = False  #: the flow waits for `response`, and gets it when the next permit is there
        self._new_starts = 0

    async def next(self) -> httpx.Request | None:
        """Return the request to send with the permit that was just granted; None if the flow has ended."""
        if self._wanted is not None and self._clock.monotonic() - self._wanted_at > STALE_SECONDS:
            self._new_starts += 1
            if self._new_starts <= MOST_NEW_STARTS:
                await self.start_anew()
        if self._flow is None:
            self._flow = self._auth.async_auth_flow(self._copy())
            self._want(await anext(self._flow))
        elif self._is_owed and self.response is not None:
            await self._advance(self.response)
        while self._wanted is not None and self._is_free(self._wanted):
            await self._advance(await _received(await self._send_free(self._wanted), self._wanted))
        return self._wanted

    async def take(self, response: httpx.Response) -> bool:
        """Take the response of the last request; return True if the flow has another one to send."""
        if self._wanted is None:
            return False
        self.response = await _received(response, self._wanted)
        if not self._is_own(self._wanted):
            self._wanted, self._is_owed = None, True  # another request follows for certain: build it with its permit
            return True
        await self._advance(self.response)
        return self._wanted is not None

    async def start_anew(self) -> None:
        """End the flow; the next permit starts another one."""
        flow, self._flow, self._wanted, self._is_owed = self._flow, None, None, False
        if flow is not None:
            await flow.aclose()

    async def _advance(self, response: httpx.Response) -> None:
        self._wanted, self._is_owed = None, False
        if self._flow is not None:
            with suppress(StopAsyncIteration):
                self._want(await self._flow.asend(response))

    def _want(self, request: httpx.Request) -> None:
        request.extensions = request.extensions | self._extensions
        remember_secrets(request)
        self._wanted, self._wanted_at = request, self._clock.monotonic()

    def _copy(self) -> httpx.Request:
        original = self._request
        copy = httpx.Request(original.method, original.url, headers=original.headers, stream=original.stream)
        if isinstance(original.stream, httpx.ByteStream):
            copy.read()
        return copy

    def _is_own(self, request: httpx.Request) -> bool:
        """Return True for the request itself, whatever the flow added to its query or headers."""
        mine, theirs = (url.copy_with(query=None) for url in (self._request.url, request.url))
        return self._request.method == request.method and mine == theirs


async def _received(response: httpx.Response, request: httpx.Request) -> httpx.Response:
    """Return the response as a flow reads it: with its request and its body."""
    response.request = request
    await response.aread()
    return response


@dataclass(frozen=True)
class Signing:
    """The authentication of all requests of a transport."""

    inner: httpx.AsyncBaseTransport
    bodies: BodyReader
    clock: Clock

    def of(self, request: httpx.Request, options: Mapping[str, Any], deadline: float) -> PlainRequest:
        """Return the request with the authentication in its options: `auth` and `is_free`."""
        auth: httpx.Auth | None = options.get("auth")
        if auth is None:
            return PlainRequest(request)

        async def send_free(wanted: httpx.Request) -> httpx.Response:
            return await self.send(wanted, deadline / 2)

        return SignedRequest(
            request, auth, self.clock, request.extensions, options.get("is_free") or _takes_permit, send_free
        )

    async def send(self, request: httpx.Request, seconds: float) -> httpx.Response:
        """Send a request that takes no permit. Return its answer with the whole body. Raises httpx.RequestError."""
        try:
            async with asyncio.timeout(seconds):
                answer = await self.inner.handle_async_request(request)
                body = await self.bodies.read(answer)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no whole answer within {seconds:g} s", request=request) from error
        return Answer(answer.status_code, headers=headers_of_unpacked(answer.headers, body), content=body)


def remember_secrets(request: httpx.Request) -> None:
    """Remember the secrets that a request sends. Most have none, and are read no further than to see that."""
    address = str(request.url) if request.url.query or request.url.userinfo else ""
    has_secrets = any(is_sensitive_header(name) for name, _ in request.headers.raw)
    if address or has_secrets:
        remember_request(address, request.headers.items() if has_secrets else ())


def _takes_permit(_: httpx.Request) -> bool:
    return False
