"""Run the application in a real server: print one line once it listens, stop cleanly on SIGINT and SIGTERM."""

import errno
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette

from source_api.app import Api, create_app
from source_api.errors import BadOption
from source_api.options import Options
from source_api.server_control import Address

KEEP_ALIVE = 300  # seconds: longer than a client waits for a permit, so that no connection closes under a request
BACKLOG = 2048


def configuration(app: Starlette, **options: Any) -> uvicorn.Config:
    """Return the configuration of a server that is silent and ends within a second."""
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="error",
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
        **options,
    )


class DemoServer(uvicorn.Server):
    """Uvicorn, plus two abilities for faults: close one connection, and end hanging requests."""

    def __init__(self, app: Starlette, *, started: Callable[[], None]) -> None:
        super().__init__(configuration(app, lifespan="on", server_header=False))
        self._api: Api = app.state.api
        self._api.control.drop = self._drop
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then announce it."""
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End hanging requests first; the others have a second to finish."""
        self._api.control.stopping.set()
        # Requests that the shutdown interrupts are not errors.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)

    def _drop(self, client: Address) -> None:
        for connection in self.server_state.connections:
            transport = connection.transport
            if transport is not None and (transport.get_extra_info("peername") or ())[:2] == client:
                transport.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address. Raises BadOption if it is not free."""
    try:
        [(family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # create_server adds the address to its message, which names it already.
        reason = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else error.strerror
        expected = f"a free address to listen at ({reason})"
        raise BadOption("--host and --port", expected=expected, got=f"{host}:{port}") from None


def announcement(url: str, *, items: int, options: Options) -> str:
    """Return the line that is printed once the server listens."""
    tiers = " + ".join(map(str, options.tiers)) or "no limits"
    return f"Demo API on {url} ({items} items, {tiers})"


def run(options: Options, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `say` receives the announcement."""
    with listen(host, port) as listener:
        app = create_app(options)
        line = announcement(address_of(host, listener), items=app.state.api.items.total, options=options)
        run_server(DemoServer(app, started=lambda: say(line)), listener)


def address_of(host: str, listener: socket.socket) -> str:
    """Return the base address of a server at that socket."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    # Uvicorn raises the signal again for the previous handler. One that does nothing gives exit status 0.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: None)
    server.run(sockets=[listener])
