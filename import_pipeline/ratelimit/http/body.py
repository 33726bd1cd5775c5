"""Reading bodies within bounds: on their length, on what they unpack to, and on the depth of their JSON."""

from collections.abc import AsyncIterator
from contextlib import suppress

import httpx

from import_pipeline.ratelimit.http.decompression import TooManyLayers, Unpacker, UnpackError, encodings_of
from import_pipeline.ratelimit.http.json_depth import nests_deeper

#: Bytes of a body, as sent and as unpacked.
LARGEST_BODY = 64 * 1024 * 1024
#: Levels of arrays and objects in a JSON body. Python's parser itself gives up at some hundreds.
DEEPEST_JSON = 100


class BodyRefused(httpx.DecodingError):
    """A body is too long, unpacks to too much or nests too deeply. Another request would bring the same body."""


class BodyReader:
    """Reads bodies of at most `largest` bytes, whose JSON nests at most `deepest` levels."""

    def __init__(self, largest: int = LARGEST_BODY, deepest: int = DEEPEST_JSON) -> None:
        self._largest, self._deepest = largest, deepest

    async def read(self, answer: httpx.Response) -> bytes:
        """Return the whole body, unpacked. A body in an unknown encoding stays packed.

        Raises BodyRefused for a body beyond the bounds, DecodingError and ReadError for one that cannot be unpacked.
        """
        if isinstance(answer.stream, httpx.ByteStream) and not is_packed(answer.headers):  # it came with the head
            body = self._capped(b"".join(answer.stream))
        else:
            body = await self._streamed(answer)
        if nests_deeper(body, self._deepest):
            raise BodyRefused(f"the body's JSON nests more than {self._deepest} levels deep")
        return body

    async def read_refusal(self, answer: httpx.Response, *, is_used: bool = True) -> bytes:
        """Return the body of a refusal, empty if it cannot be read. One that is not used is not even unpacked."""
        if not is_used:
            await self.discard(answer)
            return b""
        with suppress(httpx.RequestError):
            return await self.read(answer)
        return b""

    async def discard(self, answer: httpx.Response) -> None:
        """Read a body that is not used, so that its connection can be used again, unless it is too long."""
        try:
            with suppress(httpx.RequestError):
                async for _ in CappedStream(answer.stream, self._largest):
                    pass
        finally:
            await answer.aclose()

    def _capped(self, body: bytes) -> bytes:
        if len(body) > self._largest:
            raise BodyRefused(f"the body is longer than {self._largest:,} bytes")
        return body

    async def _streamed(self, answer: httpx.Response) -> bytes:
        try:
            return await self._unpacked(answer, CappedStream(answer.stream, self._largest))
        finally:
            await answer.aclose()

    async def _unpacked(self, answer: httpx.Response, packed: "CappedStream") -> bytes:
        try:
            encodings = encodings_of(answer.headers["content-encoding"]) if is_packed(answer.headers) else None
            if not encodings:
                return b"".join([chunk async for chunk in packed])
            unpacker, pieces, length = Unpacker(encodings), list[bytes](), 0
            async for chunk in packed:
                for piece in unpacker.feed(chunk):
                    length += len(piece)
                    if length > self._largest:
                        raise BodyRefused(f"the body unpacks to more than {self._largest:,} bytes")
                    pieces.append(piece)
        except TooManyLayers as error:
            raise BodyRefused(str(error)) from error
        except UnpackError as error:
            raise httpx.DecodingError(f"the packed body cannot be read: {error}") from error
        if unpacker.breaks_off:
            raise httpx.ReadError("the packed body breaks off")
        return b"".join(pieces)


class CappedStream(AsyncIterator[bytes]):
    """Another stream, up to a number of bytes. Raises BodyRefused beyond it.

    No generator, which the event loop would have to register and end: most bodies are one chunk.
    """

    def __init__(self, inner: object, most: int) -> None:
        if not isinstance(inner, httpx.AsyncByteStream):
            raise TypeError(f"expected an answer that streams asynchronously, got {type(inner).__name__}")
        self._inner, self._most, self._length = aiter(inner), most, 0

    async def __anext__(self) -> bytes:
        chunk = await anext(self._inner)
        self._length += len(chunk)
        if self._length > self._most:
            raise BodyRefused(f"the body is longer than {self._most:,} bytes")
        return chunk


def is_packed(headers: httpx.Headers) -> bool:
    """Return True if the headers name an encoding of the body, known or not."""
    return "content-encoding" in headers


def headers_of_unpacked(headers: httpx.Headers, body: bytes) -> httpx.Headers:
    """Return the headers for an unpacked body, since httpx would unpack it once more."""
    if not is_packed(headers):
        return headers
    with suppress(TooManyLayers):  # only the body of a refusal can still have too many
        if encodings_of(headers["content-encoding"]) is None:
            return headers
    kept = headers.copy()
    del kept["content-encoding"]
    kept["content-length"] = str(len(body))
    kept.pop("transfer-encoding", None)
    return kept
