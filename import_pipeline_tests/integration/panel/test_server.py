"""The panel's server, with strangers who hold on to what they get."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from import_pipeline.panel.server import LONGEST_HEAD, Bounds, server_of

pytestmark = pytest.mark.anyio
#: So large that no socket's buffer holds it.
LARGE = "x" * 30_000_000


async def small(request: Request) -> Response:
    return PlainTextResponse("hello")


async def large(request: Request) -> Response:
    return PlainTextResponse(LARGE)


@asynccontextmanager
async def serving(**bounds: float) -> AsyncIterator[int]:
    """The server's port."""
    app = Starlette(routes=[Route("/", small, methods=["GET", "POST"]), Route("/large", large)])
    server = server_of(app, host="127.0.0.1", port=0, bounds=Bounds(**bounds))  # type: ignore[arg-type]
    server.config.lifespan = "off"
    server.config.timeout_graceful_shutdown = 1
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    running = asyncio.create_task(server.main_loop())
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running
    await server.shutdown()


async def ask(port: int, path: str = "/", more: str = "") -> bytes:
    """The whole answer to a well-behaved client."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\n{more}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def received_by(reader: asyncio.StreamReader) -> int:
    """Wait until the server closes the connection, and count the bytes; the test's time limit ends a longer wait."""
    received = 0
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            received += len(chunk)
    return received


async def test_a_head_without_end_is_refused_within_its_bound() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * (LONGEST_HEAD + 1))
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


@pytest.mark.parametrize(("lines", "status"), [(97, b"200"), (101, b"400")])
async def test_a_head_has_a_bounded_number_of_lines(lines: int, status: bytes) -> None:
    async with serving() as port:
        answer = await ask(port, more="".join(f"X{number}: a\r\n" for number in range(lines)))
        assert answer.split(b" ")[1] == status


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: h\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET"])
async def test_a_head_that_does_not_come_is_cut_off(sent: bytes) -> None:
    async with serving(head_seconds=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await received_by(reader)
        writer.close()


async def test_an_answer_that_is_not_read_is_cut_off() -> None:
    async with serving(reading_seconds=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        transport = writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        while b"200" not in await ask(port):  # the server serves others meanwhile
            pass
        await asyncio.sleep(0.5)
        transport.resume_reading()  # type: ignore[attr-defined]
        assert await received_by(reader) < len(LARGE)
        writer.close()


async def test_an_unread_body_holds_no_connection() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx")
        assert (await reader.read()).endswith(b"hello")
        writer.close()


async def test_those_who_wait_longest_make_room_for_new_clients() -> None:
    async with serving(connections=5) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        assert b"200" in await ask(port)
        assert await received_by(idle[0][0]) == 0
        for _, writer in idle:
            writer.close()
