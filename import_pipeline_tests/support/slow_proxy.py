"""A proxy that delays all bytes to and from a server."""

import socket
import threading
import time


class SlowProxy:
    """Forwards bytes after a delay, in both directions; drops them while it is dead."""

    def __init__(self, target: int, delay: float) -> None:
        self._target, self._delay = target, delay
        self.is_dead = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._server.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._server.accept()
                target = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, delay in ((client, target, 0.0), (target, client, self._delay)):
                    threading.Thread(target=self._pass, args=(source, sink, delay), daemon=True).start()
        except OSError:
            return

    def _pass(self, source: socket.socket, sink: socket.socket, delay: float) -> None:
        try:
            while data := source.recv(65536):
                time.sleep(delay)
                if not self.is_dead.is_set():
                    sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()
