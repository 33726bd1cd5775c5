"""The transport over aiohttp, beside httpx's own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from import_pipeline.ratelimit.http.aiohttp_transport import open_connections
from import_pipeline.ratelimit.http.transport import CUT_OFF

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """Its address; it answers everything with nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"


TRANSPORTS = pytest.mark.parametrize(
    "open_transport", [httpx.AsyncHTTPTransport, lambda: open_connections(limit=10)], ids=["httpx", "ours"]
)


@TRANSPORTS
async def test_a_trace_gets_the_events_of_connecting_and_sending(
    open_transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """The details that httpx gives with an event, such as the host, are the same with our transport."""
    traced: list[tuple[str, Any]] = []

    async def trace(event: str, about: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            traced.append((about["host"], about["port"]))
        elif event == "http11.send_request_headers.started":
            traced.append(("sends", about["request"].method))

    async with server() as url, httpx.AsyncClient(transport=open_transport()) as client:
        for _ in range(2):
            await client.get(url, extensions={"trace": trace})
        port = httpx.URL(url).port
    assert [what for what, _ in traced] == ["127.0.0.1", "sends", "sends"]
    assert traced[0] == ("127.0.0.1", port)


@TRANSPORTS
async def test_a_refused_connection_is_no_timeout_and_no_broken_one(
    open_transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        async with httpx.AsyncClient(transport=open_transport()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{held.getsockname()[1]}/")


@TRANSPORTS
@pytest.mark.parametrize("linger", [None, b"\1\0\0\0\0\0\0\0"], ids=["closed", "reset"])
async def test_a_connection_that_the_server_breaks_is_no_timeout(
    open_transport: Callable[[], httpx.AsyncBaseTransport], linger: bytes | None
) -> None:
    """Kept from the request before, which was answered, so that a retry would be allowed: nothing is sent again."""
    came = list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        came.append(await reader.readuntil(b"\r\n\r\n"))
        if linger is not None:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with httpx.AsyncClient(transport=open_transport()) as client:
            await client.get(url)
            with pytest.raises(CUT_OFF):
                await client.get(url)
    assert len(came) == 2


@asynccontextmanager
async def answering(
    heads: list[str], *, first_line: str = "HTTP/1.1 204 No Content", more: str = ""
) -> AsyncIterator[int]:
    """A server's port. It keeps the heads of what it is asked, and answers each alike."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head.decode())
                writer.write(f"{first_line}\r\n{more}\r\n".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "target",
    ["/a%2fb?x=a%20b+c&y=%7e~'()*!", "/a?cursor=abc==&z=a|b^{}", "//a//b", "/%C3%A4?q=%c3%a4", "/a;b=1,2?@:/?"],
)
async def test_an_address_is_sent_byte_for_byte(target: str) -> None:
    """A signature over it, or an opaque cursor in it, holds for these bytes only."""
    heads = list[str]()
    async with answering(heads) as port, httpx.AsyncClient(transport=open_connections(limit=1)) as client:
        await client.get(f"http://127.0.0.1:{port}{target}#fragment")
    assert heads[0].split(" ")[1] == target


@pytest.mark.parametrize(
    ("method", "login", "options"),
    [
        ("GET", "", {"headers": [("X-Same", "1"), ("X-Same", "2"), ("Host", "api.internal.example")]}),
        ("GET", "us%40er:p%3Aw@", {}),
        ("GET", "user:pw@", {"headers": {"Authorization": "Bearer other"}}),
        ("POST", "", {"content": b"{}"}),
        ("POST", "", {}),
        ("patch", "", {"json": {"a": "\u00e9"}}),
    ],
    ids=["headers", "login", "login and header", "bytes", "nothing", "json"],
)
async def test_a_head_is_that_of_httpx(method: str, login: str, options: dict[str, Any]) -> None:
    """Nothing is added, such as a type of the body, and a login in the address becomes a header."""
    heads = list[str]()
    async with answering(heads) as port:
        for transport in (httpx.AsyncHTTPTransport(), open_connections(limit=1)):
            async with httpx.AsyncClient(transport=transport) as client:
                await client.request(method, f"http://{login}127.0.0.1:{port}/a?b=%2F#part", **options)
    first, second = (sorted(head.lower().split("\r\n")) for head in heads)
    assert first == second


async def test_a_head_may_have_long_and_many_headers() -> None:
    headers = {"X-Policy": "x" * 60_000} | {f"X-{number}": "y" for number in range(200)}
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with answering([], more=more) as port, httpx.AsyncClient(transport=open_connections(limit=1)) as client:
        response = await client.get(f"http://127.0.0.1:{port}/")
    assert (len(response.headers["X-Policy"]), response.headers["X-199"]) == (60_000, "y")


async def test_requests_go_through_the_proxy_with_its_login() -> None:
    heads, proxy = list[str](), httpx.Proxy("http://127.0.0.1", auth=("bob", "pw"))
    async with answering(heads) as port:
        proxy.url = proxy.url.copy_with(port=port)
        async with httpx.AsyncClient(transport=open_connections(limit=1, proxy=proxy)) as client:
            response = await client.get("http://api.internal.example/a%2fb?c=%7e")
    assert response.status_code == 204
    assert heads[0].startswith("GET http://api.internal.example/a%2fb?c=%7e HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic Ym9iOnB3" in heads[0]


async def test_a_proxy_that_refuses_a_tunnel_has_sent_nothing() -> None:
    heads = list[str]()
    async with answering(heads, first_line="HTTP/1.1 407 Proxy Authentication Required") as port:
        proxy = httpx.Proxy(f"http://127.0.0.1:{port}")
        async with httpx.AsyncClient(transport=open_connections(limit=1, proxy=proxy)) as client:
            with pytest.raises(httpx.ConnectError, match="the proxy refuses the connection: it answers 407"):
                await client.get("https://api.internal.example/")
    assert heads[0].startswith("CONNECT api.internal.example:443 HTTP/1.1\r\n")


async def test_a_proxy_that_cannot_be_reached_is_named_as_such() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        proxy = httpx.Proxy(f"http://127.0.0.1:{held.getsockname()[1]}")
        async with httpx.AsyncClient(transport=open_connections(limit=1, proxy=proxy)) as client:
            with pytest.raises(httpx.ConnectError, match="the proxy cannot be reached"):
                await client.get("http://api.internal.example/")


async def test_headers_and_bodies_arrive_as_they_are() -> None:
    """A header that comes twice stays two; a body that is a stream is sent in chunks."""
    heads = list[str]()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"\r\n\r\n"  # the end of a head for this server, which keeps what came before

    async with answering(heads) as port, httpx.AsyncClient(transport=open_connections(limit=1)) as client:
        twice = [("X-Tag", "a"), ("X-Tag", "b"), ("X-City", "Köln")]
        await client.get(f"http://127.0.0.1:{port}/", headers=[(name, value.encode()) for name, value in twice])
        await client.post(f"http://127.0.0.1:{port}/", content=pieces())
    sent = [line.partition(": ") for line in heads[0].splitlines() if line.startswith("X-")]
    assert [(name, value) for name, _, value in sent] == twice
    assert heads[1].count("Transfer-Encoding: chunked") == 1


@TRANSPORTS
async def test_a_body_that_breaks_off_is_a_broken_connection(
    open_transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as listening,
        httpx.AsyncClient(transport=open_transport()) as client,
    ):
        with pytest.raises(CUT_OFF):
            await client.get(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")


@TRANSPORTS
async def test_a_timeout_of_the_client_holds(open_transport: Callable[[], httpx.AsyncBaseTransport]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()  # and never answers
        async with httpx.AsyncClient(transport=open_transport(), timeout=httpx.Timeout(60, read=0.05)) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"http://127.0.0.1:{held.getsockname()[1]}/")


@TRANSPORTS
@pytest.mark.parametrize(
    ("url", "headers", "error"),
    [
        ("http://127.0.0.1:1/", {"X": "a\r\nb"}, httpx.LocalProtocolError),
        ("ftp://127.0.0.1:1/", {}, httpx.UnsupportedProtocol),
    ],
)
async def test_a_request_that_cannot_be_sent_is_named_as_such(
    open_transport: Callable[[], httpx.AsyncBaseTransport], url: str, headers: dict[str, str], error: type[Exception]
) -> None:
    async with answering([]) as port, httpx.AsyncClient(transport=open_transport()) as client:
        with pytest.raises(error):
            await client.get(url.replace(":1/", f":{port}/"), headers=headers)
