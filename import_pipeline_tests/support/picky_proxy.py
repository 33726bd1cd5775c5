"""A proxy before Postgres that behaves like a connection pooler: it refuses startup options."""

import socket
import struct

from import_pipeline_tests.support.proxy import Proxy

#: Parameters that PgBouncer allows besides those that it handles itself.
KNOWN = {b"user", b"database", b"client_encoding", b"application_name", b"datestyle", b"timezone"}


class PickyProxy(Proxy):
    """Refuses a client whose startup message has an unknown parameter; connects all others to Postgres."""

    def connect(self, client: socket.socket) -> socket.socket:
        """Read the startup message, and pass it to the server. Raises OSError for an unknown parameter."""
        while True:
            size, kind = struct.unpack("!II", _read(client, 8))
            body = _read(client, size - 8)
            if kind == 196608:
                break
            client.sendall(b"N")  # no TLS, no GSSAPI
        names = body.rstrip(b"\0").split(b"\0")[::2]
        unknown = next((name for name in names if name not in KNOWN), None)
        if unknown is not None:
            client.sendall(_refusal(b"unsupported startup parameter: " + unknown))
            raise ConnectionRefusedError
        server = super().connect(client)
        server.sendall(struct.pack("!II", size, kind) + body)
        return server


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
