"""Connections over aiohttp: an answer is read to its end, and then the next request uses the same connection."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from import_pipeline.ratelimit.http.aiohttp_transport import open_connections

pytestmark = pytest.mark.anyio

TRANSPORTS = pytest.mark.parametrize(
    "open_transport", [httpx.AsyncHTTPTransport, lambda: open_connections(limit=10)], ids=["httpx", "ours"]
)


@TRANSPORTS
@pytest.mark.parametrize(
    ("method", "answer", "body", "connections"),
    [
        ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab", 1),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc", 1),
        ("GET", b"HTTP/1.1 200 OK\r\n\r\nup to the end", b"up to the end", 2),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab", b"ab", 2),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"", 1),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", b"", 1),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n" + b"x" * 600_000, b"x" * 600_000, 1),
    ],
    ids=["interim", "chunks", "until closed", "last", "head", "not modified", "long"],
)
async def test_an_answer_is_read_to_its_end_and_its_connection_used_again(
    open_transport: Callable[[], httpx.AsyncBaseTransport], method: str, answer: bytes, body: bytes, connections: int
) -> None:
    """A connection is used for the second request if the first answer has an end without it."""
    opened = list[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append("connection")
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
                if connections > 1:
                    break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with httpx.AsyncClient(transport=open_transport()) as client:
            got = [(await client.request(method, url)).content for _ in range(2)]
    assert (got, len(opened)) == ([body, body], connections)


async def test_a_body_that_is_not_read_closes_its_connection() -> None:
    """The rest of it must not be taken for the next answer."""
    opened = list[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append("connection")
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab" + b"cd" * (len(opened) > 1))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with httpx.AsyncClient(transport=open_connections(limit=1)) as client:
            async with client.stream("GET", url) as response:
                assert response.status_code == 200
            assert (await client.get(url)).content == b"abcd"
    assert len(opened) == 2


async def test_two_requests_take_two_connections_through_a_proxy_only_at_the_same_time() -> None:
    """aiohttp adds a header to those of the proxy; they are part of the key by which it finds a connection."""
    opened, heads = list[str](), list[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append("connection")
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head.decode())
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        proxy = httpx.Proxy(address, auth=("bob", "pw"))
        async with httpx.AsyncClient(transport=open_connections(limit=5, proxy=proxy)) as client:
            for _ in range(3):
                await client.get("http://api.internal.example/")
    assert (len(opened), [head.count("Proxy-Authorization: Basic Ym9iOnB3") for head in heads]) == (1, [1, 1, 1])
