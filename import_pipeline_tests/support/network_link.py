"""A network link between a worker and a server, which tests can cut."""

import contextlib
import socket
import threading

from import_pipeline_tests.support.proxy import Proxy


class NetworkLink(Proxy):
    """Passes bytes in both directions until it is partitioned. Healing resets the connections that hung."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self._open: list[socket.socket] = []
        self._passes = threading.Event()
        self._passes.set()
        self.start()

    def partition(self) -> None:
        """Hold back all bytes. Both ends keep their connections and see no error."""
        self._passes.clear()

    def heal(self) -> None:
        """Reset the connections that hung, and let new ones through."""
        for each in [*self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._passes.set()

    def close(self) -> None:
        """Accept nothing more and reset everything."""
        super().close()
        self.heal()

    def connect(self, client: socket.socket) -> socket.socket:
        """Connect to the server, but not during a partition."""
        self._passes.wait()
        server = super().connect(client)
        self._open += [client, server]
        return server

    def forward(self, data: bytes, sink: socket.socket, *, is_answer: bool) -> None:
        """Send the bytes, but not during a partition."""
        self._passes.wait()
        super().forward(data, sink, is_answer=is_answer)
