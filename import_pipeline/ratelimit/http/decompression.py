"""Unpacking of bodies (Content-Encoding: gzip, deflate) in bounded pieces.

httpx's own decoders have no bound, stop after the first member of a gzip body, and accept a body that breaks off. A
body in an unknown encoding stays as it is, for its reader to refuse.
"""

import zlib
from collections.abc import Iterator

#: The encodings that a request accepts.
ACCEPTED = "gzip, deflate"
#: A body with more layers is malicious: each layer multiplies the unpacked size of the one below.
MOST_LAYERS = 2
#: Bytes that one layer passes on at once, so that a bound is exceeded by no more than this.
CHUNK = 65_536
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class UnpackError(ValueError):
    """The bytes do not have the declared encoding."""


class TooManyLayers(UnpackError):
    """The body names more encodings than `MOST_LAYERS`."""


class Layer:
    """One encoding: feed it bytes, iterate over the unpacked ones, then check `breaks_off`."""

    def __init__(self, encoding: str) -> None:
        self._is_gzip = encoding == "gzip"
        self._inflate = zlib.decompressobj(_GZIP if self._is_gzip else _ZLIB)
        self._first = b""  #: the first two bytes show the format of a deflate body
        self._began = self._is_over = False

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Yield the unpacked bytes, at most `CHUNK` at a time. Raises UnpackError."""
        if not self._began:
            packed = self._first = self._first + packed
            if len(packed) < len(_GZIP_MAGIC):
                return
            self._begin(packed)
        while packed and not self._is_over:
            if self._inflate.eof:
                self._begin_member(packed)
                continue
            unpacked = self._decompress(packed)
            if unpacked:
                yield unpacked
            packed = self._inflate.unused_data or self._inflate.unconsumed_tail
            while not packed and (unpacked := self._decompress(b"")):  # zlib keeps the bytes beyond the chunk
                yield unpacked

    @property
    def breaks_off(self) -> bool:
        """True if bytes are missing at the end. A body without any byte is empty, as some servers send it."""
        return bool(self._first) and not self._inflate.eof

    def _begin(self, packed: bytes) -> None:
        """Detect a deflate body without the zlib head, which some servers send (RFC 9110, 8.4.1.2)."""
        self._began = True
        has_head = packed[0] & 0x0F == zlib.DEFLATED and int.from_bytes(packed[:2], "big") % 31 == 0
        if not self._is_gzip and not has_head:
            self._inflate = zlib.decompressobj(_RAW)

    def _begin_member(self, packed: bytes) -> None:
        """Begin the next member of a gzip body (RFC 1952, 2.2); other bytes after the end are padding."""
        if self._is_gzip and _GZIP_MAGIC.startswith(packed[:2]):
            self._inflate = zlib.decompressobj(_GZIP)
        else:
            self._is_over = True

    def _decompress(self, packed: bytes) -> bytes:
        try:
            return self._inflate.decompress(packed, CHUNK)
        except zlib.error as error:
            raise UnpackError(str(error)) from error


class Unpacker:
    """All encodings of a body, the last one applied first."""

    def __init__(self, encodings: list[str]) -> None:
        self._layers = [Layer(each) for each in reversed(encodings)]

    def feed(self, packed: bytes, layer: int = 0) -> Iterator[bytes]:
        """Yield the unpacked bytes in pieces of at most `CHUNK`. Raises UnpackError."""
        if layer == len(self._layers):
            yield packed
            return
        for piece in self._layers[layer].feed(packed):
            yield from self.feed(piece, layer + 1)

    @property
    def breaks_off(self) -> bool:
        """True if bytes are missing at the end of the body, in any of its layers."""
        return any(layer.breaks_off for layer in self._layers)


def encodings_of(header: str) -> list[str] | None:
    """Return the encodings in a Content-Encoding header, in the order in which they were applied.

    None if one of them is unknown: then the body stays as it is. Raises TooManyLayers.
    """
    names = [name for part in header.split(",") if (name := part.strip().lower()) not in {"", "identity"}]
    if len(names) > MOST_LAYERS:
        raise TooManyLayers(f"the body was packed {len(names)} times, expected at most {MOST_LAYERS}")
    known = [_NAMES.get(name) for name in names]
    return None if None in known else [name for name in known if name is not None]
