"""A proxy before Postgres that behaves like a connection pooler: it refuses startup options."""

import socket
import struct
import threading

#: Parameters that PgBouncer allows besides those that it handles itself.
KNOWN = {b"user", b"database", b"client_encoding", b"application_name", b"datestyle", b"timezone"}


class PickyProxy:
    """Listens on a free port; the context manager returns it."""

    def __init__(self, target: int) -> None:
        self._target = target
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
                threading.Thread(target=self._begin, args=(client,), daemon=True).start()
        except OSError:
            return

    def _begin(self, client: socket.socket) -> None:
        try:
            while True:
                size, kind = struct.unpack("!II", _read(client, 8))
                body = _read(client, size - 8)
                if kind == 196608:
                    break
                client.sendall(b"N")  # no TLS, no GSSAPI
            names = body.rstrip(b"\0").split(b"\0")[::2]
            strange = next((name for name in names if name not in KNOWN), None)
            if strange is not None:
                client.sendall(_refusal(b"unsupported startup parameter: " + strange))
                client.close()
                return
            target = socket.create_connection(("127.0.0.1", self._target))
            target.sendall(struct.pack("!II", size, kind) + body)
        except OSError:
            client.close()
            return
        for source, sink in ((client, target), (target, client)):
            threading.Thread(target=_pass, args=(source, sink), daemon=True).start()


def _read(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        some = source.recv(size - len(found))
        if not some:
            raise OSError
        found += some
    return found


def _refusal(message: bytes) -> bytes:
    fields = b"SFATAL\0C08P01\0M" + message + b"\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


def _pass(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        sink.close()
