"""The application in a real server: one line once it listens, a clean end on SIGINT and SIGTERM."""

import errno
import logging
import os
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from source_api.app import Api, create_app
from source_api.errors import BadOption
from source_api.lifeline import Address
from source_api.options import Options

KEEP_ALIVE = 300  # seconds: longer than a client waits for its limits, so that no connection ends in its hands
BACKLOG = 2048


class DemoServer(uvicorn.Server):
    """Uvicorn, plus what faults need of a server: to close a connection, and to end the hanging ones."""

    def __init__(self, app: Starlette, *, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                log_level="error",
                ws="none",
                lifespan="on",
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=1,
            )
        )
        self._api: Api = app.state.api
        self._api.lifeline.drop = self._drop
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, then says so."""
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends hanging requests first; the others have a second to finish."""
        self._api.lifeline.stopping.set()
        # What is cut off by stopping is no error to report.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)

    def _drop(self, client: Address) -> None:
        for connection in self.server_state.connections:
            transport = connection.transport
            if transport is not None and (transport.get_extra_info("peername") or ())[:2] == client:
                transport.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to the address; BadOption where that cannot be had."""
    try:
        [(family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # create_server adds the address to the text; it is said once already.
        reason = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else error.strerror
        expected = f"a free address to listen at ({reason})"
        raise BadOption("--host and --port", expected=expected, got=f"{host}:{port}") from None


def announcement(url: str, *, items: int, options: Options) -> str:
    """The one line that is printed once the server listens."""
    tiers = " + ".join(map(str, options.tiers)) or "no limits"
    return f"Demo API on {url} ({items} items, {tiers})"


def run(options: Options, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM; `say` gets the announcement."""
    with listen(host, port) as listener:
        bound = listener.getsockname()[1]
        url = f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        app = create_app(options)
        line = announcement(url, items=app.state.api.items.total, options=options)
        # Uvicorn repeats the signal that ended it to whoever was there before: nobody, so that the end is a good one.
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, lambda *_: None)
        DemoServer(app, started=lambda: say(line)).run(sockets=[listener])
