"""The connections under the limits: aiohttp's pool as an httpx transport, sending exactly what it is told to.

httpx's own pool walks all its connections for each request and slows down with their number; aiohttp's does not.
"""

import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from import_pipeline.ratelimit.sending import CONNECTS, SENDS, Trace

#: The request that the running task sends, and its trace; aiohttp passes nothing of the kind on.
_traced: ContextVar[tuple[httpx.Request, Trace] | None] = ContextVar("traced", default=None)


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again when a kept-alive connection breaks: that one would have no permit.

    aiohttp repeats on two errors of its own (RFC 9112, 9.3.1, allows it); those of httpx it lets through. And
    httpx-aiohttp would call a refused connection a timeout, after which a request may still be on its way. What is no
    HTTP is a ReadError too, since httpx's errors have no other word for it.
    """
    try:
        return await handler(request)
    except aiohttp.ServerTimeoutError:
        raise
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from error  # nothing was sent
    except aiohttp.ClientConnectionError as error:
        raise httpx.ReadError(f"the connection broke before the answer came: {error}") from error
    except aiohttp.ClientResponseError as error:
        raise httpx.ReadError(f"the answer cannot be read: {error.message.splitlines()[0]}") from error


def tells(event: str, about: Callable[[httpx.Request], Mapping[str, Any]]) -> Any:
    """A callback of aiohttp's tracing that tells the request's own trace of an event, as httpx's own transport does."""

    async def tell(*_: object) -> None:
        traced = _traced.get()
        if traced is not None:
            request, trace = traced
            await trace(event, about(request))

    return tell


def where(request: httpx.Request) -> Mapping[str, Any]:
    """Where a request goes."""
    return {"host": request.url.host, "port": request.url.port}


def tracing() -> aiohttp.TraceConfig:
    """What a request's trace is told."""
    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(tells(f"connection{CONNECTS[0]}", where))
    config.on_request_headers_sent.append(tells(SENDS, lambda request: {"request": request}))
    return config


class TracedTransport(AiohttpTransport):
    """Knows httpx's `trace` extension, as far as `tracing` has it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        trace = request.extensions.get("trace")
        token = _traced.set(trace and (request, trace))
        try:
            return await super().handle_async_request(request)
        finally:
            _traced.reset(token)


def open_connections(limit: int, *, verify: ssl.SSLContext | bool = True) -> httpx.AsyncBaseTransport:
    """A transport with at most that many connections. It follows no redirect, keeps no cookie, repeats no request."""
    context = httpx.create_ssl_context(verify=verify)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(send_once,),
            trace_configs=[tracing()],
        )

    return TracedTransport(verify=context, client=session)
