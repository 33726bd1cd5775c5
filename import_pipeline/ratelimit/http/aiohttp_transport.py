"""The connections: aiohttp's pool as an httpx transport that sends each request exactly once, and as it is.

httpx's own pool walks all its connections for each request, and slows down with their number; aiohttp's does not.
"""

import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
import yarl
from httpx_aiohttp import AiohttpTransport

from import_pipeline.ratelimit.http.send_timing import CONNECTS, SENDS, Trace

#: The request that the running task sends, and its trace; aiohttp does not pass them on.
_traced: ContextVar[tuple[httpx.Request, Trace | None] | None] = ContextVar("traced", default=None)
#: Bytes of one header, and the number of headers, that curl and httpx accept, too.
LONGEST_HEADER = 65_536
MOST_HEADERS = 256


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a request when a kept-alive connection breaks: the second one would have no permit.

    aiohttp repeats on two errors of its own (RFC 9112, 9.3.1, allows it), but not on those of httpx. And httpx-aiohttp
    would report a refused connection as a timeout, after which a request may still arrive. An answer that is not HTTP
    is a ReadError, too, since httpx has no better error for it.
    """
    if (traced := _traced.get()) is not None:
        request.url = _as_written(traced[0].url)
    try:
        return await handler(request)
    except aiohttp.ServerTimeoutError:
        raise
    except aiohttp.ClientProxyConnectionError as error:
        raise httpx.ConnectError(f"the proxy cannot be reached: {error}") from error
    except aiohttp.ClientHttpProxyError as error:
        answer = f"{error.status} {error.message.splitlines()[0] if error.message else ''}".strip()
        raise httpx.ConnectError(f"the proxy refuses the connection: it answers {answer}") from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from error  # nothing was sent
    except aiohttp.ClientConnectionError as error:
        raise httpx.ReadError(f"the connection broke before the answer came: {error}") from error
    except aiohttp.ClientResponseError as error:
        reason = (error.message.splitlines() or ["no reason is given"])[0]
        raise httpx.ReadError(f"the answer cannot be read: {reason}") from error


def _as_written(url: httpx.URL) -> yarl.URL:
    """Return the address byte for byte: aiohttp would quote it again, which breaks signatures and opaque cursors."""
    return yarl.URL(str(url.copy_with(userinfo=b"", fragment=None)), encoded=True)


def trace_callback(event: str, about: Callable[[httpx.Request], Mapping[str, Any]]) -> Any:
    """Return a callback for aiohttp's tracing that calls the request's own trace, as httpx's transport does."""

    async def callback(*_: object) -> None:
        traced = _traced.get()
        request, trace = traced or (None, None)
        if request is not None and trace is not None:
            await trace(event, about(request))

    return callback


def connection_of(request: httpx.Request) -> Mapping[str, Any]:
    """Return the host and port of a request."""
    return {"host": request.url.host, "port": request.url.port}


def trace_config() -> aiohttp.TraceConfig:
    """Return aiohttp's configuration for the events of a request's trace."""
    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(trace_callback(f"connection{CONNECTS[0]}", connection_of))
    config.on_request_headers_sent.append(trace_callback(SENDS, lambda request: {"request": request}))
    return config


class TracedTransport(AiohttpTransport):
    """Supports httpx's `trace` extension, for the events in `trace_config`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises LocalProtocolError for one that cannot be sent."""
        trace = request.extensions.get("trace")
        token = _traced.set((request, trace))
        try:
            return await super().handle_async_request(request)
        except (TypeError, ValueError) as error:  # such as a line break in a header's value
            raise httpx.LocalProtocolError(f"the request cannot be sent: {error}", request=request) from error
        finally:
            _traced.reset(token)


def open_connections(
    limit: int, *, verify: ssl.SSLContext | bool = True, proxy: httpx.Proxy | None = None
) -> httpx.AsyncBaseTransport:
    """Return a transport with at most `limit` connections, all through the proxy if there is one.

    It follows no redirects, keeps no cookies and repeats no requests.
    """
    context = httpx.create_ssl_context(verify=verify)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(send_once,),
            trace_configs=[trace_config()],
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
        )

    return TracedTransport(verify=context, client=session, proxy=_with_login_in_header(proxy))


def _with_login_in_header(proxy: httpx.Proxy | None) -> httpx.Proxy | None:
    """Return the proxy with its login in a header, since aiohttp's BasicAuth is deprecated."""
    if proxy is None or proxy.auth is None:
        return proxy
    login = aiohttp.encode_basic_auth(*proxy.auth)
    return httpx.Proxy(proxy.url, ssl_context=proxy.ssl_context, headers={**proxy.headers, "Authorization": login})
