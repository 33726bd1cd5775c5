"""A proxy that delays the bytes of a server."""

import socket
import threading
import time

from import_pipeline_tests.support.proxy import Proxy


class SlowProxy(Proxy):
    """Delays each answer by `delay` seconds. While `is_dead` is set, it drops the bytes of both directions."""

    def __init__(self, target: int, delay: float) -> None:
        super().__init__(target)
        self._delay = delay
        self.is_dead = threading.Event()

    def forward(self, data: bytes, sink: socket.socket, *, is_answer: bool) -> None:
        """Send the bytes after the delay, unless the proxy is dead by then."""
        time.sleep(self._delay if is_answer else 0.0)
        if not self.is_dead.is_set():
            sink.sendall(data)
