"""The application's access to its server: close a connection, and notice that the server is stopping."""

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope

from source_api.errors import ConnectionDropped

Address = tuple[str, int]


class ServerControl:
    """Shared by the application and the server that runs it."""

    def __init__(self) -> None:
        #: closes the connection to a client; None if no server runs the application
        self.drop: Callable[[Address], None] | None = None
        #: set once the server stops
        self.stopping = asyncio.Event()

    async def cut(self, scope: Scope, receive: Receive) -> None:
        """Close the request's connection without a response."""
        if self.drop is None:
            raise ConnectionDropped("the connection was closed without an answer")
        self.drop(tuple(scope["client"]))
        await disconnected(receive)

    async def hang(self, scope: Scope, receive: Receive) -> None:
        """Send no response until the client gives up or the server stops."""
        waits = {asyncio.ensure_future(disconnected(receive)), asyncio.ensure_future(self.stopping.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.stopping.is_set():
            await self.cut(scope, receive)


async def disconnected(receive: Receive) -> None:
    """Wait until the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
