"""The limiter as an httpx transport: every request takes a permit, and refusals are waited out in here."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.endpoints import Endpoints
from import_pipeline.ratelimit.http.body import DEEPEST_JSON, LARGEST_BODY, BodyReader
from import_pipeline.ratelimit.http.meaning import ACTION, Hooks, Meaning
from import_pipeline.ratelimit.http.response import Answer
from import_pipeline.ratelimit.http.send_timing import Sending
from import_pipeline.ratelimit.http.signing import PlainRequest, Signing, remember_secrets
from import_pipeline.ratelimit.lanes import Lanes
from import_pipeline.ratelimit.limiter import Limiter
from import_pipeline.rules.responses.actions import ResponseAction
from import_pipeline.rules.responses.rate_limit_headers import (
    LimitStatus,
    is_rate_limited,
    may_be_about_limits,
    names_limits,
    resource_of,
    retry_wait,
    statuses_of_answer,
)

#: Refusals of one request while others are answered, or with a status other than 429: then the rate is not the reason.
MOST_REFUSALS = 10
TOO_MANY_REQUESTS = 429
#: Failures after which nothing can have been sent.
NEVER_SENT = (httpx.ConnectError, httpx.LocalProtocolError, httpx.PoolTimeout, httpx.UnsupportedProtocol)
#: Failures that mean that the connection is closed: what was sent on it has arrived by now, or never will.
CUT_OFF = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)
#: The extension of an answer with the seconds from the sending of its request to its head.
SECONDS = "import_pipeline_seconds"


class RefusalChain:
    """The refusals of one request in a row. Each pause may be short, but their sum is endless without a bound.

    `answers`: those to other requests so far. `longest`: seconds of the chain, None for any number.
    """

    def __init__(self, answers: int, longest: float | None) -> None:
        self._answers, self._longest = answers, longest
        self._count = 0
        self._since: float | None = None

    def add(self, status: int, answers: int, now: float) -> bool:
        """Count a refusal; return True if the chain exceeds its bounds."""
        self._count += status != TOO_MANY_REQUESTS or answers > self._answers
        self._answers = answers
        self._since = now if self._since is None else self._since
        return self._count >= MOST_REFUSALS or (self._longest is not None and now - self._since > self._longest)


class RateLimitedTransport(httpx.AsyncBaseTransport):
    """Wraps another transport; any httpx client or SDK that takes a transport can use it.

    Answers come with their whole body; BodyRefused is raised for one that is too large or too deep. A refusal ("too
    many requests") pauses all users of the limiter. The request is sent again afterwards, unless its body cannot be. If
    it is refused again and again while others are answered, or for longer than `longest_refusal` seconds, the refusal
    is returned. ApiBlocked is raised if the pause exceeds the limiter's patience. Each request may take `deadline`
    seconds from its permit to the end of its body.
    `first_lane`: limits that the server may apply to requests with `first` alone, such as those of the list.
    `endpoints`: limits of paths, in the place of `limiter` and `first_lane`.
    `cost` returns the units that a request takes in every tier; without it each takes one.
    `request.extensions["import_pipeline"]` may hold `first` (go before all that wait without it), `deadline`, `cost`
    and `before` (awaited immediately before sending; an error that it raises prevents the request). It may also hold
    `auth`, an `httpx.Auth` whose flow runs after the permit was granted, and `is_free`: True for a request of the flow
    that takes no permit.
    `classify` may state the action that an answer means, `is_rate_limited` that it is a refusal.
    `observe` is called for every request sent, with the answer's status or None; `observe_refusal` for each refusal.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        limiter: Limiter,
        *,
        classify: Callable[[httpx.Response], ResponseAction | None] | None = None,
        is_rate_limited: Callable[[httpx.Response], bool] | None = None,
        observe: Callable[[int | None], None] | None = None,
        observe_refusal: Callable[[int], None] | None = None,
        cost: Callable[[httpx.Request], int] | None = None,
        deadline: float = 30.0,
        largest_body: int = LARGEST_BODY,
        deepest_json: int = DEEPEST_JSON,
        longest_refusal: float | None = None,
        first_lane: Limiter | None = None,
        endpoints: Endpoints | None = None,
    ) -> None:
        self._inner = inner
        self._limiter = limiter
        self._hooks = Hooks(classify=classify, is_rate_limited=is_rate_limited)
        self._is_settled_early = self._hooks == Hooks()
        self._observe = observe or (lambda _: None)
        self._observe_refusal = observe_refusal or (lambda _: None)
        self._cost = cost or (lambda _: 1)
        self._deadline = deadline
        self._bodies = BodyReader(largest_body, deepest_json)
        self._signing = Signing(inner, self._bodies, limiter.clock)
        self._longest_refusal = longest_refusal
        self._endpoints = endpoints or Endpoints({"": Lanes(limiter, first_lane)})
        self._is_closed = False
        self._answers = 0  #: without refusals

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer that is no refusal."""
        options: dict[str, Any] = request.extensions.get("import_pipeline", {})
        deadline = options.get("deadline") or self._deadline
        remember_secrets(request)
        cost = options.get("cost") or self._cost(request)
        extensions = request.extensions
        sending = Sending(self._limiter.clock, extensions.get("trace"))
        request.extensions = {**extensions, "trace": sending}
        outgoing = self._signing.of(request, options, deadline)
        refusals = RefusalChain(self._answers, self._longest_refusal)
        try:
            while True:
                permit, signed = await self._next(request, outgoing, options, deadline, cost)
                if signed is None and outgoing.response is not None:
                    return outgoing.response
                response, refused = await self._send(signed or request, permit, sending)
                if not refused or not _is_repeatable(request):
                    self._answers += not refused
                    if await outgoing.take(response):
                        continue
                    return response
                await outgoing.start_anew()
                if refusals.add(response.status_code, self._answers, self._limiter.clock.monotonic()):
                    return response
        finally:
            request.extensions = extensions
            await outgoing.start_anew()

    async def _next(
        self, request: httpx.Request, outgoing: PlainRequest, options: Mapping[str, Any], deadline: float, cost: int
    ) -> tuple[Permit, httpx.Request | None]:
        """Return a permit, and the request to send with it; None and a settled permit if none follows."""
        while True:
            permit = await self._endpoints.acquire(request, deadline, cost, first=bool(options.get("first")))
            lanes = self._endpoints.lanes(permit)
            try:
                signed = await outgoing.next()
                if (before := options.get("before")) is not None:
                    await before()
            except BaseException:
                lanes.unused(permit)
                raise
            if signed is not None and permit.lasts_for(self._limiter.clock.monotonic()) >= deadline / 2:
                return permit, signed
            lanes.unused(permit)  # it waited for another lane, or this process was suspended
            if signed is None:
                return permit, None

    async def aclose(self) -> None:
        """Close the wrapped transport. The limiter stays open: its owner closes it."""
        self._is_closed = True
        await self._inner.aclose()

    async def _send(self, request: httpx.Request, permit: Permit, sending: Sending) -> tuple[httpx.Response, bool]:
        """Send a request and settle its permit; returns the answer, and if it is a refusal."""
        status: int | None = None
        sending.begin_anew()
        try:
            async with asyncio.timeout(permit.expires - self._limiter.clock.monotonic()) as timer:
                answer = await self._inner.handle_async_request(request)
                permit.sent, permit.is_first = sending.began, sending.is_first
                status = answer.status_code
                response, refused = await self._settle(request, permit, answer)
                if refused:
                    self._observe_refusal(status)
                return response, refused
        except NEVER_SENT:
            self._endpoints.lanes(permit).unused(permit)
            raise
        except CUT_OFF:
            if not self._is_closed:  # otherwise we closed the connection, and the request may still arrive
                self._endpoints.lanes(permit).cut_off(permit)
            raise
        except TimeoutError as error:
            if not timer.expired():
                raise
            # The request may still arrive: the permit keeps its units until it no longer can.
            raise httpx.ReadTimeout(f"no whole answer within {permit.expires - permit.start:g} s") from error
        finally:
            self._observe(status)

    async def _settle(
        self, request: httpx.Request, permit: Permit, answer: httpx.Response
    ) -> tuple[httpx.Response, bool]:
        """Settle the permit as of the answer's head, and read the body."""
        limiter, hooks = self._endpoints.lanes(permit).limiter, self._hooks
        arrived = limiter.clock.monotonic()
        refused = answer.is_error and is_rate_limited(answer.status_code, answer.headers, now=limiter.clock.now())
        if refused and hooks.classify is None:
            self._refused(request, permit, answer)
            body = await self._bodies.read_refusal(answer, is_used=not _is_repeatable(request))
            meaning = Meaning(refused=True)
        else:
            if not refused:
                self._apply_limits(request, permit, answer)
            if self._is_settled_early and not limiter.concurrent:  # a request is in flight until it is read
                self._endpoints.lanes(permit).answered(permit, arrived)
            try:
                body = await (self._bodies.read_refusal(answer) if refused else self._bodies.read(answer))
                meaning = hooks.read(request, answer, body, refused=refused)
                if meaning.refused:
                    self._refused(request, permit, answer, meaning.wait)
                elif refused:
                    self._apply_limits(request, permit, answer)
            finally:
                if not permit.settled:
                    self._endpoints.lanes(permit).answered(permit, arrived)
        seconds = arrived - (permit.sent or permit.start)
        response = Answer.received(answer, body, {SECONDS: seconds, ACTION: meaning.action})
        return response, meaning.refused

    def _apply_limits(
        self, request: httpx.Request, permit: Permit, answer: httpx.Response, *, refused: bool = False
    ) -> None:
        """Apply the limits in an answer's headers."""
        is_about_limits = may_be_about_limits(name for name, _ in answer.headers.raw)
        statuses = named_limits(answer.headers, self._limiter.clock.now()) if is_about_limits else []
        kind = (resource_of(answer.headers) if is_about_limits else "") or kind_of(request)
        self._endpoints.lanes(permit).limiter.apply_limits(statuses, permit, kind=kind, refused=refused)

    def _refused(
        self, request: httpx.Request, permit: Permit, answer: httpx.Response, wait: timedelta | None = None
    ) -> None:
        """Pause all, for `wait` or as the headers say. The limits come second: the refusal explains a full one."""
        self._endpoints.lanes(permit).refused(permit, wait or retry_wait(answer.headers, now=self._limiter.clock.now()))
        self._apply_limits(request, permit, answer, refused=True)


def named_limits(headers: httpx.Headers, now: datetime) -> list[LimitStatus]:
    """Return the limits that the headers name."""
    return statuses_of_answer(headers, now=now) if names_limits(headers) else []


def kind_of(request: httpx.Request) -> str:
    """Return the kind of a request for limits of a server that names no resource: the shape of its path.

    The shape is the path's first part and its length, so that a list and the details of its items are two kinds.
    """
    parts = request.url.path.strip("/").split("/")
    return f"{request.method} /{parts[0]}/{len(parts)}"


def _is_repeatable(request: httpx.Request) -> bool:
    """Return True if the request's body can be sent a second time."""
    return isinstance(request.stream, httpx.ByteStream)
