"""The connections: aiohttp's pool and parser as an httpx transport that sends each request exactly once, and as it is.

httpx's own pool walks all its connections for each request, and slows down with their number; aiohttp's does not. Its
session is not used: it would add headers, follow redirects and repeat requests, and takes as long as the rest together.
"""

import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from weakref import WeakSet

import aiohttp
import httpx
import yarl
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from multidict import CIMultiDict

from import_pipeline.ratelimit.http.send_timing import CONNECTS, SENDS, Trace

#: Bytes of one header, and the number of headers, that curl and httpx accept, too.
LONGEST_HEADER = 65_536
MOST_HEADERS = 256
SWITCHING_PROTOCOLS = 101
_SCHEMES = frozenset({"http", "https"})
_FRAMES = frozenset({b"content-length", b"transfer-encoding"})
_METHOD = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
#: Characters that would end a header, or that no server accepts in one.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class HttpxErrors:
    """Raises httpx's errors in place of aiohttp's within the block; LocalProtocolError for what cannot be sent.

    An answer that is not HTTP is a ReadError, too, since httpx has no better error for it.
    """

    __slots__ = ("_broken", "_request")

    def __init__(self, request: httpx.Request, broken: str = "") -> None:
        self._request, self._broken = request, broken

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None and (kind_and_text := self._translated(error)) is not None:
            kind, text = kind_and_text
            raise kind(text, request=self._request) from error

    def _translated(self, error: BaseException) -> tuple[type[httpx.RequestError], str] | None:
        match error:
            case aiohttp.SocketTimeoutError():
                return httpx.ReadTimeout, str(error)
            case aiohttp.ServerTimeoutError():
                return httpx.ConnectTimeout, str(error)
            case aiohttp.InvalidURL():
                return httpx.UnsupportedProtocol, str(error)
            case aiohttp.ClientProxyConnectionError():
                return httpx.ConnectError, f"the proxy cannot be reached: {error}"
            case aiohttp.ClientHttpProxyError():
                answer = f"{error.status} {error.message.splitlines()[0] if error.message else ''}".strip()
                return httpx.ConnectError, f"the proxy refuses the connection: it answers {answer}"
            case aiohttp.ClientConnectorError():
                return httpx.ConnectError, str(error)  # nothing was sent
            case HttpProcessingError():
                reason = (error.message.splitlines() or ["no reason is given"])[0]
                return httpx.ReadError, f"the answer cannot be read: {reason}"
            case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError() | OSError():
                return httpx.ReadError, f"{self._broken}{error}"
            case TypeError() | ValueError():  # such as a line break in a header's value
                return httpx.LocalProtocolError, f"the request cannot be sent: {error}"
        return None


class AnswerBody(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """The body of an answer as it arrives. No generator, which the event loop would have to register and end."""

    def __init__(self, payload: aiohttp.StreamReader, connection: Connection, request: httpx.Request) -> None:
        self._payload, self._connection, self._request = payload, connection, request

    def __aiter__(self) -> "AnswerBody":
        return self

    async def __anext__(self) -> bytes:
        with HttpxErrors(self._request):
            chunk = await self._payload.readany()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self._connection.release()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx's requests on the connections of an aiohttp connector, which it opens with the first one."""

    def __init__(self, open_connector: Callable[[], aiohttp.TCPConnector], proxy: httpx.Proxy | None) -> None:
        self._open_connector = open_connector
        self._connector: aiohttp.TCPConnector | None = None
        self._proxy = None if proxy is None else yarl.URL(str(proxy.url))
        self._proxy_headers = CIMultiDict[str]() if proxy is None else CIMultiDict(proxy.headers.multi_items())
        self._origins = dict[tuple[str, bytes, str | None], aiohttp.ClientRequest]()
        self._used = WeakSet[object]()  #: the connections that have carried a request

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is not read yet, unless it came with the head."""
        with HttpxErrors(request, "the connection broke before the answer came: "):
            text = await self._text(request)
            connection = await self._connected(request)
            try:
                await self._trace(request, connection)
                message, payload = await _answered(request, text, connection)
            except BaseException:
                connection.close()
                raise
        stream = AnswerBody(payload, connection, request)
        extensions = {"http_version": b"HTTP/1.1"}
        if message.reason:
            extensions["reason_phrase"] = message.reason.encode()
        is_whole = payload.is_eof() and payload.exception() is None
        return httpx.Response(
            message.code,
            headers=message.raw_headers,
            stream=httpx.ByteStream(payload.read_nowait()) if is_whole else stream,
            request=request,
            extensions=extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._connector is not None:
            await self._connector.close()

    async def _text(self, request: httpx.Request) -> bytes:
        """Return the request as it is sent. Raises ValueError for what would not be one request."""
        url = request.url
        if url.scheme not in _SCHEMES or not url.host:
            raise httpx.UnsupportedProtocol(f"no address of a server: {url.scheme}://{url.host}", request=request)
        target, headers, body = url.raw_path, request.headers.raw, await _body(request)
        if self._proxy is not None and url.scheme == "http":  # by the proxy itself, without a tunnel
            target = b"http://" + url.netloc + target
            if login := self._proxy_headers.get("Authorization"):
                headers.append((b"Proxy-Authorization", login.encode()))
        return _head(request.method, target, headers, len(body), url.netloc) + _framed(headers, body)

    async def _connected(self, request: httpx.Request) -> Connection:
        """Return a connection to the origin of the request, from the pool if there is one."""
        if self._connector is None:
            self._connector = self._open_connector()
        url = request.url
        key = url.scheme, url.netloc, request.extensions.get("sni_hostname")
        if (origin := self._origins.get(key)) is None:
            origin = self._origins[key] = self._origin(*key)
        try:
            return await self._connector.connect(origin, [], _timeout(request))
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {url.host} in time") from error

    def _origin(self, scheme: str, netloc: bytes, sni_hostname: str | None) -> aiohttp.ClientRequest:
        """Return the request by which aiohttp knows where to connect to; it is not sent itself."""
        address, host = yarl.URL(f"{scheme}://{netloc.decode('ascii')}/", encoded=True), netloc.decode("ascii")
        return aiohttp.ClientRequest(
            "GET",
            address,
            headers={"Host": host},
            proxy=self._proxy,
            # aiohttp adds this Host itself with the first connection, and the next one would not find that in the pool.
            proxy_headers=CIMultiDict([*self._proxy_headers.items(), ("Host", host)]) if self._proxy else None,
            server_hostname=sni_hostname,
        )

    async def _trace(self, request: httpx.Request, connection: Connection) -> None:
        """Call the `trace` extension of the request as httpx's own transport does; it is sent immediately afterwards.

        aiohttp's own tracing costs a tenth of the request's time.
        """
        trace: Trace | None = request.extensions.get("trace")
        if trace is None:
            return
        if connection.protocol not in self._used:
            self._used.add(connection.protocol)
            await trace(f"connection{CONNECTS[0]}", {"host": request.url.host, "port": request.url.port})
        await trace(SENDS, {"request": request})


async def _answered(
    request: httpx.Request, text: bytes, connection: Connection
) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """Send the text, and return the answer's head and body. The connection is given back with the body's end."""
    protocol = connection.protocol
    if protocol is None or protocol.transport is None or protocol.transport.is_closing():
        raise aiohttp.ClientConnectionResetError("the connection was closed")
    protocol.set_response_params(
        skip_payload=request.method == "HEAD",
        read_until_eof=True,
        auto_decompress=False,
        read_timeout=_timeout(request).sock_read,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
        max_headers=MOST_HEADERS,
    )
    protocol.start_timeout()
    protocol.transport.write(text)
    while True:
        message, payload = await protocol.read()
        if message.code // 100 != 1 or message.code == SWITCHING_PROTOCOLS:
            break
    if not protocol.upgraded:
        payload.on_eof(connection.release)
    return message, payload


def _head(method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], length: int, host: bytes) -> bytes:
    """Return the head of a request byte for byte: another quoting would break signatures and opaque cursors.

    Headers that HTTP requires are added if they are missing. Raises ValueError for characters that would end a header.
    """
    if _METHOD.fullmatch(method) is None:
        raise ValueError(f"{method[:20]!r} is no method")
    lines = [b"%b %b HTTP/1.1" % (method.encode("ascii"), target), *(b"%b: %b" % pair for pair in headers)]
    names = {name.lower() for name, _ in headers}
    if b"host" not in names:
        lines.insert(1, b"Host: " + host)
    if length and _FRAMES.isdisjoint(names):
        lines.append(b"Content-Length: %d" % length)
    if _FORBIDDEN.search(b"".join(lines)):
        raise ValueError("a header has a line break or another control character")
    return b"\r\n".join([*lines, b"", b""])


def _framed(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return the body as the headers say that it is sent: as one chunk, or as it is."""
    if not any(name.lower() == b"transfer-encoding" and b"chunked" in value.lower() for name, value in headers):
        return body
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"


async def _body(request: httpx.Request) -> bytes:
    """Return the body. One that is a stream is read before its request needs a connection, since bodies are short."""
    try:
        return request.content
    except httpx.RequestNotRead:
        stream = request.stream
    return b"".join([part async for part in stream] if isinstance(stream, httpx.AsyncByteStream) else stream)


def _timeout(request: httpx.Request) -> aiohttp.ClientTimeout:
    seconds = request.extensions.get("timeout")
    return _timeouts(seconds.get("connect"), seconds.get("read"), seconds.get("pool")) if seconds else _NO_TIMEOUT


@lru_cache(maxsize=16)
def _timeouts(connect: float | None, read: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read, connect=pool)


_NO_TIMEOUT = _timeouts(None, None, None)


def open_connections(
    limit: int, *, verify: ssl.SSLContext | bool = True, proxy: httpx.Proxy | None = None
) -> httpx.AsyncBaseTransport:
    """Return a transport with at most `limit` connections, all through the proxy if there is one.

    It follows no redirects, keeps no cookies and repeats no requests.
    """
    context = httpx.create_ssl_context(verify=verify)
    return AiohttpTransport(lambda: aiohttp.TCPConnector(limit=limit, ssl=context), _with_login_in_header(proxy))


def _with_login_in_header(proxy: httpx.Proxy | None) -> httpx.Proxy | None:
    """Return the proxy with its login in a header, since aiohttp's BasicAuth is deprecated."""
    if proxy is None or proxy.auth is None:
        return proxy
    login = aiohttp.encode_basic_auth(*proxy.auth)
    return httpx.Proxy(proxy.url, ssl_context=proxy.ssl_context, headers={**proxy.headers, "Authorization": login})
