"""When a request's sending began, as its transport tells it through httpx's `trace` extension.

httpx's own transport and the one of this package tell; of another one nothing is known. Nor is it over HTTP/2, where
many requests go out on a connection that has brought no answer yet.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from import_pipeline.clock import Clock

#: What httpx calls with the name of an event and what belongs to it.
Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]
#: The ends of events' names as a connection is made, to the server or a proxy, and the event that follows.
CONNECTS, SENDS = (".connect_tcp.started", ".connect_unix_socket.started"), "http11.send_request_headers.started"


@dataclass(slots=True)
class Sending:
    """A trace that tells how long a request has been under way, and passes on what it hears."""

    clock: Clock
    passed_on: Trace | None = None
    is_first: bool = False  #: whether it is the first one on its connection
    began: float | None = None  #: on the clock's monotonic time; None: not told

    def begin_anew(self) -> None:
        """The same request is sent once more."""
        self.is_first, self.began = False, None

    async def __call__(self, event: str, about: Mapping[str, Any]) -> None:
        """Something happened to the request."""
        if self.passed_on is not None:
            await self.passed_on(event, about)
        if event.endswith(CONNECTS):
            self.is_first = True
        elif event == SENDS:
            self.began = self.clock.monotonic()
