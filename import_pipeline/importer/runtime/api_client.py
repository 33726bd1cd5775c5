"""The HTTP client of an import: it waits for permits, and sends to the source's own origin only."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from import_pipeline.clock import Clock
from import_pipeline.contracts import Connector, ImportSource
from import_pipeline.importer.access.access import Access, open_access
from import_pipeline.importer.access.connector import connector_of
from import_pipeline.importer.access.relative_requests import RelativeRequests
from import_pipeline.importer.user_code.answers import classifier_of, refusals_of
from import_pipeline.importer.user_code.hooks import COST, call_hook, describe_error
from import_pipeline.importer.user_code.request_secrets import KnownSecrets, secrets_of
from import_pipeline.ratelimit import Limiter, Permits, RateLimitedTransport, Usage, open_permits
from import_pipeline.ratelimit.endpoints import Endpoints, open_endpoints, parse_limits
from import_pipeline.ratelimit.http.decompression import ACCEPTED
from import_pipeline.ratelimit.tokens.protocol import TokenStore
from import_pipeline.settings import Settings

TOO_MANY_REQUESTS = 429
#: Default headers; those of the connector replace them.
_HEADERS = {"User-Agent": "import-pipeline", "Accept": "application/json", "Accept-Encoding": ACCEPTED}
#: Long enough for a restart or a replacement of the store.
STORE_PATIENCE = timedelta(minutes=1)


@dataclass
class RequestTally:
    """Counts of the requests sent through a transport since it was opened."""

    requests: int = 0
    answers: int = 0
    hits: int = 0  #: refusals as too many: responses of status 429, or with that meaning
    weighed: int = 0  #: requests whose cost was computed; each counts once, however often it is sent
    units: int = 0  #: their costs together
    by_endpoint: Counter[str] = field(default_factory=Counter)  #: the same by the path prefix of their limits

    @property
    def busiest(self) -> str:
        """The endpoint of most requests so far."""
        if len(self.by_endpoint) == 1:  # asked for several times per request
            return next(iter(self.by_endpoint))
        return max(self.by_endpoint, key=self.by_endpoint.__getitem__, default="")

    def observe(self, status: int | None) -> None:
        """Count a request and the status of its response; None if it got no response."""
        self.requests += 1
        self.answers += status is not None
        self.hits += status == TOO_MANY_REQUESTS

    def observe_refusal(self, status: int) -> None:
        """Count a refusal with another status than 429, which `observe` counts."""
        self.hits += status != TOO_MANY_REQUESTS

    @property
    def mean_cost(self) -> float:
        """The mean cost of a request so far; 1 before the first."""
        return self.units / self.weighed if self.weighed else 1.0


def cost_of(source: ImportSource, request: httpx.Request) -> int:
    """Return the cost that the source gives for a request. Raises HookFailed."""
    if type(source).cost is ImportSource.cost:
        return 1
    return call_hook(source, "cost", request, returns=COST)


@dataclass(frozen=True)
class RequestCost:
    """Computes the cost of a request by the source's hook, and counts it."""

    source: ImportSource
    tally: RequestTally
    endpoints: Endpoints

    def __call__(self, request: httpx.Request) -> int:
        """Return the permits that the request takes. Raises HookFailed unless it is a whole number from 1."""
        cost = cost_of(self.source, request)
        self.tally.weighed += 1
        self.tally.units += cost
        self.tally.by_endpoint[self.endpoints.of(request)] += cost
        return cost


class ApiClient:
    """Sends the source's requests within the rate limits of its API."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        transport: httpx.AsyncBaseTransport,
        endpoints: Endpoints,
        tally: RequestTally,
        deadline: float,
        secrets: KnownSecrets,
        access: Access,
    ) -> None:
        self.client = client
        self.secrets = secrets
        self.limiter = endpoints.limiter("")
        self.endpoints = endpoints
        self.tally = tally
        self._transport = transport
        self._deadline = deadline
        self._access = access
        self._relative = RelativeRequests(client, access.headers)

    def join(self, request: httpx.Request) -> httpx.Request:
        """Return the source's request as the client sends it: absolute, with the default headers.

        Raises OtherOrigin if it would go to an unknown origin, since a next link must not carry the token there. Raises
        httpx.LocalProtocolError for a request that cannot be sent at all.
        """
        try:
            if (below := self._relative.joined(request)) is not None:
                return below
            joined = self.client.build_request(
                request.method,
                request.url,
                headers=[(name, value) for name, value in request.headers.raw if name.lower() != b"host"],
                content=request.read(),
            )
        except Exception as error:
            problem = f"{request.method} request cannot be sent: {describe_error(error)}"
            raise httpx.LocalProtocolError(problem, request=request) from error
        if joined.url.userinfo:  # aiohttp refuses it beside an Authorization header
            joined.url = joined.url.copy_with(userinfo=b"")
        self._access.admit(joined, given=request.headers)
        return joined

    async def send(
        self, request: httpx.Request, *, first: bool = False, before: Callable[[], Awaitable[None]] | None = None
    ) -> httpx.Response:
        """Send the request and return its response, fully read; a rate-limited one is sent again first.

        `first` puts it before all other waiting requests. `before` is awaited each time just before sending; an
        exception from it prevents the sending.
        """
        joined = self.join(request)
        options = {"first": first, "deadline": self._deadline, "before": before, **self._access.options(joined)}
        joined.extensions["import_pipeline"] = options
        # Bypass the client: redirects, hooks and its log line are not used, and cost as much CPU as the limiter.
        response = await self._transport.handle_async_request(joined)
        response.request = joined
        response.read()  # its body is in memory
        return response

    @property
    def is_unverified(self) -> bool:
        """True if the certificates of the API are not verified."""
        return self._access.is_unverified

    @property
    def token_server(self) -> str:
        """The server that grants the access tokens, as people see it; empty without OAuth 2."""
        return self._access.token_server

    async def usage(self) -> Usage:
        """Return the usage of the API, counted over all processes."""
        return await self.endpoints.usage()

    def blocked_for(self) -> float:
        """Return the seconds until most waiting requests can get a permit. May be called from any thread."""
        return self.endpoints.limiter(self.tally.busiest).blocked_for()


@asynccontextmanager
async def open_api(
    source: ImportSource,
    settings: Settings,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
    patience: timedelta | None = None,
    permits: Permits | None = None,
    store_patience: timedelta = STORE_PATIENCE,
    tokens: TokenStore | None = None,
) -> AsyncIterator[ApiClient]:
    """Connect to the source's API. Tests may pass a transport instead of real connections, and stores.

    `patience` is the longest pause that a request waits for; a longer one raises ApiBlocked. None means the source's
    own maximum. A request waits up to `store_patience` for a rate-limit store that does not answer, then raises
    LimiterUnavailable. Reading the counters does not wait, so that an import with a wrong address fails fast.
    """
    connector = connector_of(source, settings)
    timeout = source.timeout if connector.timeout is None else connector.timeout
    longest = min(source.max_pause, patience or source.max_pause)
    limiter_of = partial(Limiter, source=source.name, clock=clock, patience=longest, store_patience=store_patience)
    async with AsyncExitStack() as opened:
        tally = RequestTally()
        access = await opened.enter_async_context(open_access(source, settings, connector, clock, transport, tokens))
        endpoints = await opened.enter_async_context(
            open_endpoints(
                source.api,
                parse_limits(source.limits_text),
                limiter_of,
                lambda: permits or open_permits(settings.redis_url, settings.limits_path),
                httpx.URL(connector.base_url).path,
            )
        )
        limited = _limited(access.transport, endpoints, source, tally, timeout)
        client = await opened.enter_async_context(_client(connector, limited, timeout))
        yield ApiClient(
            client, limited, endpoints, tally, timeout, secrets_of(source.name, settings, connector), access
        )


def _limited(
    inner: httpx.AsyncBaseTransport,
    endpoints: Endpoints,
    source: ImportSource,
    tally: RequestTally,
    deadline: float,
) -> RateLimitedTransport:
    """Return a transport that waits for permits, and reads no more of a response than the source allows."""
    return RateLimitedTransport(
        inner,
        endpoints.limiter(""),
        endpoints=endpoints,
        classify=classifier_of(source),
        is_rate_limited=refusals_of(source),
        observe=tally.observe,
        observe_refusal=tally.observe_refusal,
        cost=RequestCost(source, tally, endpoints),
        deadline=deadline,
        largest_body=source.max_body,
        deepest_json=source.max_depth,
        longest_refusal=source.max_pause.total_seconds(),
    )


def _client(connector: Connector, transport: httpx.AsyncBaseTransport, timeout: float) -> httpx.AsyncClient:
    """Return a client of the source's origin."""
    return httpx.AsyncClient(
        base_url=httpx.URL(connector.base_url).copy_with(userinfo=b""),
        headers=_HEADERS,
        transport=transport,
        # No cookies: a server could lengthen every further request by one per response.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        timeout=timeout,
    )
