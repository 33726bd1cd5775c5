"""The panel's HTTP server: uvicorn, with bounds on the resources of clients without a login.

uvicorn bounds only the bytes of a request's head. A client that sends its head, or reads its response, one byte at a
time could hold a connection forever; enough of them would use up all file descriptors.
"""

import asyncio
import resource
from dataclasses import dataclass
from typing import ClassVar

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

LONGEST_HEAD = 65_536  #: bytes of a request's head


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The resources that one client, and all clients together, may use."""

    header_lines: int = 100  #: of a request's head; each needs many times its bytes in memory
    head_seconds: float = 10.0  #: for a request's whole head
    reading_seconds: float = 30.0  #: for the client to read the response
    connections: int = 500  #: open at once; beyond that, the one that waits longest for its head is closed

    @classmethod
    def of_this_process(cls) -> "Bounds":
        """Return bounds that leave half of the file descriptors for other uses."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors == resource.RLIM_INFINITY:
            return cls()
        return cls(connections=max(1, min(cls.connections, descriptors // 2)))


class BoundedProtocol(H11Protocol):
    """A connection that is closed if its head takes too long or has too many lines, or its response is not read."""

    bounds: ClassVar[Bounds] = Bounds()
    _deadline: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of a head. Above the bound, close the connection that waits longest for its head."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self.bounds.connections:
            waiting = [each for each in self.connections if isinstance(each, BoundedProtocol) and each._deadline]
            first = min(waiting, key=lambda each: each._deadline.when() if each._deadline else 0.0)
            first.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines."""
        self._head_received()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on; the deadline of a head is over when it is whole."""
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self._await_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_received()

    def handle_events(self) -> None:
        """Refuse a head of too many lines before it is parsed."""
        buffered, _ = self.conn.trailing_data
        if (
            self.conn.their_state is h11.IDLE
            and buffered.partition(b"\r\n\r\n")[0].count(b"\n") > self.bounds.header_lines
        ):
            self.send_400_response("The head of the request has too many lines.")
            return
        super().handle_events()

    def on_response_complete(self) -> None:
        """Close a connection whose request body was not read to the end: it may never end."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def pause_writing(self) -> None:
        """Start the deadline for the client to read."""
        super().pause_writing()
        self._reading = self.loop.call_later(self.bounds.reading_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the deadline: the client reads again."""
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.bounds.head_seconds, self.transport.abort)

    def _head_received(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def server_of(app: ASGIApp, *, host: str, port: int, bounds: Bounds | None = None) -> uvicorn.Server:
    """Return the server of the panel; it listens once it runs."""
    bounded = {"bounds": bounds or Bounds.of_this_process()}
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="error",  # no line per request or malformed request
        ws="none",
        http=type("Protocol", (BoundedProtocol,), bounded),
        h11_max_incomplete_event_size=LONGEST_HEAD,
        server_header=False,
        proxy_headers=False,  # a header proves nothing about the origin of a request
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
