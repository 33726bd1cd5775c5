"""The connections: aiohttp's pool as an httpx transport that sends each request exactly once, and as it is.

httpx's own pool walks all its connections for each request, and slows down with their number; aiohttp's does not.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from functools import lru_cache
from weakref import WeakSet

import aiohttp
import httpx
import yarl
from multidict import CIMultiDict

from import_pipeline.ratelimit.http.send_timing import CONNECTS, SENDS, Trace

#: The request that the running task sends, and its trace; aiohttp does not pass them on.
_traced: ContextVar[tuple[httpx.Request, Trace] | None] = ContextVar("traced", default=None)
#: Bytes of one header, and the number of headers, that curl and httpx accept, too.
LONGEST_HEADER = 65_536
MOST_HEADERS = 256
#: Headers that aiohttp would add to a request that lacks them; httpx sends it as it is.
ADDED_HEADERS = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a request when a kept-alive connection breaks: the second one would have no permit.

    aiohttp repeats on two errors of its own (RFC 9112, 9.3.1, allows it), but not on those of httpx. An answer that is
    not HTTP is a ReadError, too, since httpx has no better error for it.
    """
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


class HttpxErrors:
    """Raises httpx's errors in place of aiohttp's within the block; LocalProtocolError for what cannot be sent."""

    __slots__ = ("_request",)

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case aiohttp.SocketTimeoutError():
                raise httpx.ReadTimeout(str(error), request=self._request) from error
            case aiohttp.ServerTimeoutError():
                raise httpx.ConnectTimeout(str(error), request=self._request) from error
            case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
                raise httpx.UnsupportedProtocol(str(error), request=self._request) from error
            case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError():
                raise httpx.ReadError(str(error), request=self._request) from error
            case TypeError() | ValueError():  # such as a line break in a header's value
                raise httpx.LocalProtocolError(f"the request cannot be sent: {error}", request=self._request) from error


class TracedConnector(aiohttp.TCPConnector):
    """Calls the `trace` extension of a request when its connection is there, as httpx's own transport does.

    aiohttp's own tracing costs a tenth of the request's time.
    """

    def __init__(self, *, limit: int, context: ssl.SSLContext) -> None:
        super().__init__(limit=limit, ssl=context)
        self._used = WeakSet[object]()  #: the connections that have carried a request

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> aiohttp.connector.Connection:
        """Return a connection; its request is sent immediately afterwards."""
        connection = await super().connect(req, traces, timeout)
        if (traced := _traced.get()) is not None:
            request, trace = traced
            try:
                if connection.protocol not in self._used:
                    self._used.add(connection.protocol)
                    await trace(f"connection{CONNECTS[0]}", {"host": request.url.host, "port": request.url.port})
                await trace(SENDS, {"request": request})
            except BaseException:
                connection.close()
                raise
        return connection


class AnswerBody(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """The body of an answer as it arrives. No generator, which the event loop would have to register and end."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer, self._request = answer, request

    def __aiter__(self) -> "AnswerBody":
        return self

    async def __anext__(self) -> bytes:
        with HttpxErrors(self._request):
            chunk = await self._answer.content.readany()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        await self._answer.__aexit__(None, None, None)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests on the connections of an aiohttp session, which it opens with the first one."""

    def __init__(self, open_session: Callable[[], aiohttp.ClientSession], proxy: httpx.Proxy | None) -> None:
        self._open_session = open_session
        self._session: aiohttp.ClientSession | None = None
        self._proxy = None if proxy is None else str(proxy.url)
        self._proxy_headers = None if proxy is None else CIMultiDict(proxy.headers.multi_items())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is not read yet."""
        if self._session is None:
            self._session = self._open_session()
        trace: Trace | None = request.extensions.get("trace")
        token = _traced.set(None if trace is None else (request, trace))
        seconds, body = request.extensions.get("timeout") or {}, _body(request)
        try:
            with HttpxErrors(request):
                answer = await self._session.request(
                    request.method,
                    _address(request.url),
                    headers=_headers(request, body),
                    data=body,
                    allow_redirects=False,
                    auto_decompress=False,
                    timeout=_timeout(seconds.get("connect"), seconds.get("read"), seconds.get("pool")),
                    server_hostname=request.extensions.get("sni_hostname"),
                    proxy=self._proxy,
                    proxy_headers=self._proxy_headers,
                )
        finally:
            _traced.reset(token)
        extensions = {"http_version": b"HTTP/1.1"}
        if answer.reason:
            extensions["reason_phrase"] = answer.reason.encode()
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=AnswerBody(answer, request),
            request=request,
            extensions=extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _address(url: httpx.URL) -> yarl.URL:
    """Return the address byte for byte: aiohttp would quote it again, which breaks signatures and opaque cursors.

    It has no login: httpx has made a header of it, and aiohttp refuses both at once.
    """
    origin, target = _origin(url.scheme, url.netloc), url.raw_path.decode("ascii")
    if "?" in target:
        return yarl.URL(f"{origin}{target[1:]}", encoded=True)
    return origin.with_path(target, encoded=True)  # a third of the time that parsing takes


@lru_cache(maxsize=64)
def _origin(scheme: str, netloc: bytes) -> yarl.URL:
    return yarl.URL(f"{scheme}://{netloc.decode('ascii')}/", encoded=True)


def _body(request: httpx.Request) -> bytes | object | None:
    """Return the body, or the stream of one that is not in memory; None for an empty one."""
    try:
        return request.content or None
    except httpx.RequestNotRead:
        return request.stream


def _headers(request: httpx.Request, body: object) -> CIMultiDict[str]:
    """Return the headers for aiohttp, which itself frames a body that is a stream."""
    encoding, framed = request.headers.encoding, isinstance(body, bytes | None)
    pairs = [(name.decode(encoding), value.decode(encoding)) for name, value in request.headers.raw]
    return CIMultiDict(pair for pair in pairs if framed or pair[0].lower() != "transfer-encoding")


@lru_cache(maxsize=16)
def _timeout(connect: float | None, read: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read, connect=pool)


def open_connections(
    limit: int, *, verify: ssl.SSLContext | bool = True, proxy: httpx.Proxy | None = None
) -> httpx.AsyncBaseTransport:
    """Return a transport with at most `limit` connections, all through the proxy if there is one.

    It follows no redirects, keeps no cookies and repeats no requests.
    """
    context = httpx.create_ssl_context(verify=verify)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=TracedConnector(limit=limit, context=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(send_once,),
            skip_auto_headers=ADDED_HEADERS,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
        )

    return AiohttpTransport(session, _with_login_in_header(proxy))


def _with_login_in_header(proxy: httpx.Proxy | None) -> httpx.Proxy | None:
    """Return the proxy with its login in a header, since aiohttp's BasicAuth is deprecated."""
    if proxy is None or proxy.auth is None:
        return proxy
    login = aiohttp.encode_basic_auth(*proxy.auth)
    return httpx.Proxy(proxy.url, ssl_context=proxy.ssl_context, headers={**proxy.headers, "Authorization": login})
