"""The transport over aiohttp, beside httpx's own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from import_pipeline.ratelimit.connections import open_connections
from import_pipeline.ratelimit.transport import CUT_OFF

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
async def test_a_trace_is_told_when_a_connection_is_made_and_when_sending_begins(
    open_transport: Callable[[], httpx.AsyncBaseTransport],
) -> None:
    """What httpx tells with an event, such as the host, is there with ours too."""
    told: list[tuple[str, Any]] = []

    async def trace(event: str, about: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            told.append((about["host"], about["port"]))
        elif event == "http11.send_request_headers.started":
            told.append(("sends", about["request"].method))

    async with server() as url, httpx.AsyncClient(transport=open_transport()) as client:
        for _ in range(2):
            await client.get(url, extensions={"trace": trace})
        port = httpx.URL(url).port
    assert [what for what, _ in told] == ["127.0.0.1", "sends", "sends"]
    assert told[0] == ("127.0.0.1", port)


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
