"""The base of TCP proxies between a client and a server of this machine."""

import contextlib
import socket
import threading


class Proxy:
    """Forwards connections from a free `port` to the port `target`. The context manager returns the free port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])

    def start(self) -> None:
        """Accept connections in a thread, until `close`."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._server.close()

    def __enter__(self) -> int:
        self.start()
        return self.port

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self, client: socket.socket) -> socket.socket:
        """Return a connection to the server for this client. An OSError closes the client's connection."""
        return socket.create_connection(("127.0.0.1", self._target))

    def forward(self, data: bytes, sink: socket.socket, *, is_answer: bool) -> None:
        """Send bytes to their receiver: the client if they are an answer, else the server."""
        sink.sendall(data)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._begin, args=(client,), daemon=True).start()

    def _begin(self, client: socket.socket) -> None:
        try:
            server = self.connect(client)
        except OSError:
            client.close()
            return
        for source, sink, is_answer in ((client, server, False), (server, client, True)):
            threading.Thread(target=self._pass, args=(source, sink, is_answer), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(65536):
                self.forward(data, sink, is_answer=is_answer)
