"""A hostile server: it sends any bytes at any pace over a plain socket."""

import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from struct import pack

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#: The name of the trick that answers requests for the list.
PAGE = "(page)"
#: Makes close() reset the connection: sent data may be lost.
RESET = pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class ClientConnection:
    """An open connection, over which a trick answers."""

    connection: socket.socket
    closing: threading.Event
    asked: bytes  #: the request, as it came

    def say(self, *parts: bytes, pause: float = 0.0) -> None:
        """Send the parts with a pause after each; stop if the client closes the connection."""
        with suppress(OSError):
            for part in parts:
                self.connection.sendall(part)
                if pause and self.closing.wait(pause):
                    return

    def body(self, body: bytes, *headers: str) -> None:
        """Send a complete response."""
        more = "".join(f"{header}\r\n" for header in headers).encode()
        self.say(HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body)


Trick = Callable[[ClientConnection], None]


def compression_bomb(megabytes: int) -> bytes:
    """Return a trick: a JSON string of that many megabytes, compressed a thousand times."""
    packer, part = zlib.compressobj(wbits=31), b"x" * 1024 * 1024
    return b"".join([packer.compress(b'"'), *(packer.compress(part) for _ in range(megabytes)), packer.flush()])


def endless_body(line: ClientConnection) -> None:
    """Send JSON that does not end, as fast as the client reads."""
    line.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b'"x": "y", ' * 6553 + b"      \r\n"
    line.say(b"1\r\n{\r\n", *(chunk for _ in range(32_768)))  # 2 GB


def slow_body(line: ClientConnection) -> None:
    """Send one byte at a time, without end."""
    line.say(HEAD + b"Content-Length: 1000\r\n\r\n", *[b" "] * 1000, pause=0.05)


def slow_head(line: ClientConnection) -> None:
    """Send headers without end."""
    line.say(*[b"HTTP/1.1 200 OK\r\n"], *[b"X"] * 1000, pause=0.05)


def short_body(line: ClientConnection) -> None:
    """Send fewer bytes than Content-Length says."""
    line.say(HEAD + b'Content-Length: 1000\r\n\r\n{"id": 1}')


def reset_in_body(line: ClientConnection) -> None:
    """Send half a body, then reset the connection."""
    line.say(HEAD + b'Content-Length: 1000\r\n\r\n{"id": ')
    line.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@contextmanager
def hostile_server(tricks: dict[str, Trick], page: Trick | None = None) -> Iterator[str]:
    """Serve a list of items whose ids are names of tricks; the details of an item are answered by its trick.

    `page` is the trick that answers requests for the list.
    """
    tricks = tricks | {PAGE: page or partial(_page, list(tricks))}
    closing = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=_accept, args=(listener, tricks, closing))
        serving.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            closing.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            serving.join(20)


def _accept(listener: socket.socket, tricks: dict[str, Trick], closing: threading.Event) -> None:
    threads = []
    while not closing.is_set():
        with suppress(OSError):
            connection, _ = listener.accept()
            thread = threading.Thread(target=_answer, args=(connection, tricks, closing))
            thread.start()
            threads.append(thread)
    for thread in threads:
        thread.join(20)


def _answer(connection: socket.socket, tricks: dict[str, Trick], closing: threading.Event) -> None:
    """Answer one request, then close the connection."""
    with connection, suppress(OSError):
        connection.settimeout(20)
        asked = b""
        while b"\r\n\r\n" not in asked:
            part = connection.recv(65536)
            if not part:
                return
            asked += part
        path, _, query = asked.split(b" ")[1].decode().partition("?")
        line = ClientConnection(connection=connection, closing=closing, asked=asked)
        tricks[PAGE if path == "/api/items" and query else path.rpartition("/")[2]](line)


def _page(names: list[str], line: ClientConnection) -> None:
    page = {"data": [{"id": name} for name in names], "current_page": 1, "last_page": 1, "total": len(names)}
    line.body(json.dumps(page).encode(), "Connection: close")


def honest_body(line: ClientConnection) -> None:
    """Return the body that an honest server would send."""
    line.body(b'{"id": 1, "name": "n", "price": "1.00"}', "Connection: close")
