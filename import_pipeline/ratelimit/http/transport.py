"""The limiter as an httpx transport: every request through it takes a permit, and refusals are waited out in here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx

from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.http.decompression import TooManyLayers, Unpacker, UnpackError, encodings_of
from import_pipeline.ratelimit.http.json_depth import nests_deeper
from import_pipeline.ratelimit.http.response import Answer
from import_pipeline.ratelimit.http.send_timing import Sending
from import_pipeline.ratelimit.lanes import Lanes
from import_pipeline.ratelimit.limiter import Limiter
from import_pipeline.redaction import meet_request
from import_pipeline.rules.responses.rate_limit_headers import (
    LimitStatus,
    names_limits,
    resource_of,
    retry_wait,
    standings_of_answer,
)
from import_pipeline.rules.responses.rate_limit_headers import is_rate_limited as is_refusal

#: Bytes of a body, as sent and as unpacked.
LARGEST_BODY = 64 * 1024 * 1024
#: Levels of arrays and objects in a JSON body; Python's parser itself gives up at some hundreds.
DEEPEST_JSON = 100
#: Refusals of one request while others are answered, or with a status other than 429: then it is not about the rate.
MOST_REFUSALS = 10
TOO_MANY_REQUESTS = 429
#: Failures after which nothing can have been sent.
NEVER_SENT = (httpx.ConnectError, httpx.LocalProtocolError, httpx.PoolTimeout, httpx.UnsupportedProtocol)
#: Failures that show that the connection is no more: what was sent on it has arrived by then, or never will.
CUT_OFF = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


#: The extension of an answer that tells how long it took from the request's sending to its head.
SECONDS = "import_pipeline_seconds"


class BodyRefused(httpx.DecodingError):
    """A body is too long, unpacks to too much or nests too deeply; a second request would bring the same."""


class RateLimitedTransport(httpx.AsyncBaseTransport):
    """Wraps another transport; any httpx client or SDK that takes a transport can use it.

    Answers come with their whole body; BodyRefused is raised for one that would eat the machine. An answer that says
    "too many requests" pauses everybody who shares the limiter; the request is sent again afterwards, unless its body
    cannot be. If one is refused again and again while others are answered, or for longer than `longest_refusal`
    seconds, its refusal is the answer. ApiBlocked is raised when the pause exceeds the limiter's patience. Each request
    may take `deadline` seconds from its permit to the end of its body.
    `first_lane`: limits that the server may keep for requests that go first alone, such as those of the list.
    `cost` tells how many places a request takes in every tier; without it each takes one.
    `request.extensions["import_pipeline"]` may hold `first` (go before all that wait), `deadline`, `cost` and
    `before` (awaited when the request is about to be sent; what it raises keeps it from that).
    `observe` is called for every request sent, with the answer's status or None.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        limiter: Limiter,
        *,
        is_rate_limited: Callable[[httpx.Response], bool] | None = None,
        observe: Callable[[int | None], None] | None = None,
        cost: Callable[[httpx.Request], int] | None = None,
        deadline: float = 30.0,
        largest_body: int = LARGEST_BODY,
        deepest_json: int = DEEPEST_JSON,
        longest_refusal: float | None = None,
        first_lane: Limiter | None = None,
    ) -> None:
        self._inner = inner
        self._limiter = limiter
        self._is_rate_limited = is_rate_limited
        self._observe = observe or (lambda _: None)
        self._cost = cost or (lambda _: 1)
        self._deadline = deadline
        self._largest_body = largest_body
        self._deepest_json = deepest_json
        self._longest_refusal = longest_refusal
        self._lanes = Lanes(limiter, first_lane)
        self._is_closed = False
        self._answers = 0  #: that were no refusals

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The first answer that is no refusal."""
        wishes: dict[str, Any] = request.extensions.get("import_pipeline", {})
        deadline = wishes.get("deadline") or self._deadline
        meet_request(str(request.url), request.headers.items())
        cost = wishes.get("cost") or self._cost(request)
        extensions = request.extensions
        sending = Sending(self._limiter.clock, extensions.get("trace"))
        request.extensions = {**extensions, "trace": sending}
        refusals, answers, refused_since = 0, self._answers, None
        try:
            while True:
                permit = await self._lanes.acquire(deadline, cost, first=bool(wishes.get("first")))
                await self._lanes.confirm(wishes.get("before"), permit)
                if permit.lasts_for(self._limiter.clock.monotonic()) < deadline / 2:
                    self._lanes.unused(permit)  # it was waited for elsewhere, or this process stood still
                    continue
                response, refused = await self._send(request, permit, sending)
                if not refused or not _is_repeatable(request):
                    self._answers += not refused
                    return response
                refusals += response.status_code != TOO_MANY_REQUESTS or self._answers > answers
                answers = self._answers
                now = self._limiter.clock.monotonic()
                refused_since = now if refused_since is None else refused_since
                if refusals >= MOST_REFUSALS or self._is_too_long(now - refused_since):
                    return response
        finally:
            request.extensions = extensions

    def _is_too_long(self, seconds: float) -> bool:
        """Whether a chain of refusals has no end: each pause may be short, and all of them last for ever."""
        return self._longest_refusal is not None and seconds > self._longest_refusal

    async def aclose(self) -> None:
        """Close the wrapped transport. The limiter is closed by whoever opened it."""
        self._is_closed = True
        await self._inner.aclose()

    async def _send(self, request: httpx.Request, permit: Permit, sending: Sending) -> tuple[httpx.Response, bool]:
        """The answer, and whether it is a refusal; the permit is settled."""
        status: int | None = None
        sending.begin_anew()
        try:
            async with asyncio.timeout(permit.expires - self._limiter.clock.monotonic()) as timer:
                answer = await self._inner.handle_async_request(request)
                permit.sent, permit.is_first = sending.began, sending.is_first
                status = answer.status_code
                return await self._settle(request, permit, answer)
        except NEVER_SENT:
            self._lanes.unused(permit)
            raise
        except CUT_OFF:
            if not self._is_closed:  # else we broke it off, and what was sent may still be on its way
                self._lanes.cut_off(permit)
            raise
        except TimeoutError as error:
            if not timer.expired():
                raise
            # It may still be on its way: the permit keeps its place until it no longer can be.
            raise httpx.ReadTimeout(f"no whole answer within {permit.expires - permit.start:g} s") from error
        finally:
            self._observe(status)

    async def _settle(
        self, request: httpx.Request, permit: Permit, answer: httpx.Response
    ) -> tuple[httpx.Response, bool]:
        """Settle the permit as of the answer's head, and read the body."""
        limiter, body = self._limiter, b""
        arrived = limiter.clock.monotonic()
        refused = is_refusal(answer.status_code, answer.headers, now=limiter.clock.now())
        if refused:
            self._refused(request, permit, answer)
            body = await self._body_of_refusal(request, answer)
        else:
            self._hear(request, permit, answer)
            if self._is_rate_limited is None and not limiter.concurrent:  # until it is read, a request is in flight
                self._lanes.answered(permit, arrived)
            try:
                body = await self._body(answer)
                refused = self._is_refused_by_source(request, answer, body)
                if refused:
                    self._refused(request, permit, answer)
            finally:
                if not permit.settled:
                    self._lanes.answered(permit, arrived)
        response = Answer(
            answer.status_code,
            headers=_headers_of_unpacked(answer.headers, body),
            stream=httpx.ByteStream(body),
            extensions=answer.extensions | {SECONDS: arrived - (permit.sent or permit.start)},
        )
        return response, refused

    def _hear(self, request: httpx.Request, permit: Permit, answer: httpx.Response, *, refused: bool = False) -> None:
        """What the answer tells of limits."""
        told = list[LimitStatus]()
        if names_limits(answer.headers):
            told = standings_of_answer(answer.headers, now=self._limiter.clock.now())
        self._limiter.hear(told, permit, kind=kind_of(request, answer.headers), refused=refused)

    def _refused(self, request: httpx.Request, permit: Permit, answer: httpx.Response) -> None:
        """Everybody pauses. Limits come after: one that is named as full no earlier than the refusal explains it."""
        self._lanes.refused(permit, retry_wait(answer.headers, now=self._limiter.clock.now()))
        self._hear(request, permit, answer, refused=True)

    def _is_refused_by_source(self, request: httpx.Request, answer: httpx.Response, body: bytes) -> bool:
        if self._is_rate_limited is None:
            return False
        headers = _headers_of_unpacked(answer.headers, body)
        whole = Answer(answer.status_code, headers=headers, content=body, request=request)
        return self._is_rate_limited(whole)

    async def _body_of_refusal(self, request: httpx.Request, answer: httpx.Response) -> bytes:
        """The body of a refusal, for a request that cannot be sent again; else a body that is not used stays packed."""
        if _is_repeatable(request):
            await self._discard(answer)
            return b""
        with suppress(httpx.RequestError):
            return await self._body(answer)
        return b""

    async def _discard(self, answer: httpx.Response) -> None:
        """Read a body that is not used, so that its connection can be used again, unless it is too long."""
        try:
            with suppress(httpx.RequestError):
                async for _ in _Capped(answer.stream, self._largest_body):
                    pass
        finally:
            await answer.aclose()

    async def _body(self, answer: httpx.Response) -> bytes:
        """The whole body, unpacked, once it is known to be neither too long nor too deep.

        A body in an encoding that is not known stays packed.
        """
        try:
            body = await self._unpacked(answer, _Capped(answer.stream, self._largest_body))
        finally:
            await answer.aclose()
        if nests_deeper(body, self._deepest_json):
            raise BodyRefused(f"the body's JSON nests more than {self._deepest_json} levels deep")
        return body

    async def _unpacked(self, answer: httpx.Response, packed: "_Capped") -> bytes:
        encoding = answer.headers.get("content-encoding")
        try:
            encodings = encodings_of(encoding) if encoding else None
            if not encodings:
                return b"".join([chunk async for chunk in packed])
            unpacker, pieces, length = Unpacker(encodings), list[bytes](), 0
            async for chunk in packed:
                for piece in unpacker.feed(chunk):
                    length += len(piece)
                    if length > self._largest_body:
                        raise BodyRefused(f"the body unpacks to more than {self._largest_body:,} bytes")
                    pieces.append(piece)
        except TooManyLayers as error:
            raise BodyRefused(str(error)) from error
        except UnpackError as error:
            raise httpx.DecodingError(f"the packed body cannot be read: {error}") from error
        if unpacker.breaks_off:
            raise httpx.ReadError("the packed body breaks off")
        return b"".join(pieces)


def kind_of(request: httpx.Request, headers: httpx.Headers) -> str:
    """The kind of a request as far as limits are concerned: a resource that the server names, else the path's shape.

    Of a path its first part and its length count, so that a list and the details of its items are two kinds.
    """
    parts = request.url.path.strip("/").split("/")
    return resource_of(headers) or f"{request.method} /{parts[0]}/{len(parts)}"


def _is_repeatable(request: httpx.Request) -> bool:
    """The request's body can be sent a second time."""
    return isinstance(request.stream, httpx.ByteStream)


def _headers_of_unpacked(headers: httpx.Headers, body: bytes) -> httpx.Headers:
    """The headers of an answer whose body is unpacked: httpx would unpack it once more."""
    encoding = headers.get("content-encoding")
    with suppress(TooManyLayers):  # only a refusal with such a body comes so far
        if encoding is None or encodings_of(encoding) is None:
            return headers
    kept = headers.copy()
    del kept["content-encoding"]
    kept["content-length"] = str(len(body))
    kept.pop("transfer-encoding", None)
    return kept


class _Capped(httpx.AsyncByteStream):
    """Another stream, up to a number of bytes. Raises BodyRefused beyond it."""

    def __init__(self, inner: object, most: int) -> None:
        if not isinstance(inner, httpx.AsyncByteStream):
            raise TypeError(f"expected an answer that streams asynchronously, got {type(inner).__name__}")
        self._inner, self._most, self._length = inner, most, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._length += len(chunk)
            if self._length > self._most:
                raise BodyRefused(f"the body is longer than {self._most:,} bytes")
            yield chunk
