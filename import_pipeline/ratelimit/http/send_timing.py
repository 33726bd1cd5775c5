"""Send timing: the moment at which sending began, from httpx's `trace` extension.

httpx's own transport and the one of this package call it. Without it, or over HTTP/2, the moment is unknown: there many
requests are sent on a connection that has brought no answer yet.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from import_pipeline.clock import Clock

#: The callback of httpx, with the name of an event and its data.
Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]
#: The suffixes of events for a new connection, to the server or a proxy, and the event of sending.
CONNECTS, SENDS = (".connect_tcp.started", ".connect_unix_socket.started"), "http11.send_request_headers.started"


@dataclass(slots=True)
class Sending:
    """A trace that records when a request was sent, and passes all events on."""

    clock: Clock
    passed_on: Trace | None = None
    is_first: bool = False  #: True if it is the first one on its connection
    began: float | None = None  #: on the clock's monotonic time; None: unknown

    def begin_anew(self) -> None:
        """Reset, because the request is sent again."""
        self.is_first, self.began = False, None

    async def __call__(self, event: str, about: Mapping[str, Any]) -> None:
        """Record an event of the request, and pass it on."""
        if self.passed_on is not None:
            await self.passed_on(event, about)
        if event.endswith(CONNECTS):
            self.is_first = True
        elif event == SENDS:
            self.began = self.clock.monotonic()
