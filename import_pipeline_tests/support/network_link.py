"""A network link between a worker and a server, which tests can cut."""

import contextlib
import socket
import threading


class NetworkLink:
    """Passes bytes in both directions until it is partitioned. Healing resets the connections that hung."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._passes = threading.Event()
        self._passes.set()
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

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
        self._server.close()
        self.heal()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._passes.wait()
        target = socket.create_connection(("127.0.0.1", self._target))
        self._open += [client, target]
        for source, sink in ((client, target), (target, client)):
            threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(65536):
                self._passes.wait()
                sink.sendall(data)
