"""The panel's HTTP server: uvicorn, with bounds on what a client without a login can hold.

uvicorn bounds a head's bytes only. A client that sends its head, or reads its answer, one byte at a time could hold a
connection without end, and enough of them hold every file descriptor.
"""

import asyncio
import resource
from dataclasses import dataclass
from typing import ClassVar

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Bytes of a request's head.
LONGEST_HEAD = 65_536


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What one client, and all of them together, may hold."""

    header_lines: int = 100  #: of a request's head; each costs many times its bytes in the objects made of it
    head_seconds: float = 10.0  #: for a request's whole head
    reading_seconds: float = 30.0  #: for the client to take what was written to it
    connections: int = 500  #: at once; the ones that wait longest for their head make room for new ones

    @classmethod
    def of_this_process(cls) -> "Bounds":
        """The bounds that leave half of the file descriptors to everything else."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors == resource.RLIM_INFINITY:
            return cls()
        return cls(connections=max(1, min(cls.connections, descriptors // 2)))


class BoundedProtocol(H11Protocol):
    """One connection: cut off when its head takes too long, has too many lines, or its answer is not read."""

    bounds: ClassVar[Bounds] = Bounds()
    _deadline: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await a head; if there are too many connections, cut the one off that waits for its head longest."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self.bounds.connections:
            waiting = [each for each in self.connections if isinstance(each, BoundedProtocol) and each._deadline]
            first = min(waiting, key=lambda each: each._deadline.when() if each._deadline else 0.0)
            first.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget its deadlines."""
        self._head_came()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on; the deadline of a head is over when it is whole."""
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self._await_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_came()

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
        """Close a connection whose request has a body that is not read to its end: it may never end."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def pause_writing(self) -> None:
        """Await that the client reads."""
        super().pause_writing()
        self._reading = self.loop.call_later(self.bounds.reading_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.bounds.head_seconds, self.transport.abort)

    def _head_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def server_of(app: ASGIApp, *, host: str, port: int, bounds: Bounds | None = None) -> uvicorn.Server:
    """The panel's server, listening when it runs."""
    bounded = {"bounds": bounds or Bounds.of_this_process()}
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="error",  # no line per request, nor per request that is none
        ws="none",
        http=type("Protocol", (BoundedProtocol,), bounded),
        h11_max_incomplete_event_size=LONGEST_HEAD,
        server_header=False,
        proxy_headers=False,  # a header's word about where a request came from proves nothing
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
