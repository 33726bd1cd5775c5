"""Endpoints: paths of an API with limits of their own. Exactly one set of limits applies to a request.

Each endpoint has a state of its own in the store, so a refusal pauses only the requests of its endpoint.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from import_pipeline.errors import SettingError
from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.lanes import LISTS, Lanes
from import_pipeline.ratelimit.limiter import Limiter
from import_pipeline.ratelimit.protocol import PermitStore
from import_pipeline.ratelimit.tiers import EXPECTED, Tiers, parse_tiers
from import_pipeline.ratelimit.usage import Usage, combined
from import_pipeline.rules.endpoints import endpoint_of
from import_pipeline.settings.endpoint_limits import split_endpoints


def parse_limits(text: str, name: str = "limits") -> dict[str, Tiers]:
    """Return path prefix -> tiers; the empty prefix is always there, for all other requests. Raises SettingError."""
    try:
        entries = split_endpoints(text)
    except ValueError as error:
        raise SettingError(name, EXPECTED, repr(text)) from error
    return {prefix: parse_tiers(limits, name) for prefix, limits in entries.items()}


def name_of_endpoint(api: str, prefix: str) -> str:
    """Return the name under which a store keeps an endpoint; the API's own for the empty prefix."""
    return f"{api} {prefix}" if prefix else api


class Endpoints:
    """The lanes of each endpoint of an API, by path prefix; the empty prefix serves all other requests.

    `base` is the path of the base address, from which the prefixes count.
    """

    def __init__(self, lanes: Mapping[str, Lanes], base: str = "") -> None:
        self._lanes = lanes
        self._prefixes = tuple(prefix for prefix in lanes if prefix)
        self._base = base

    def of(self, request: httpx.Request) -> str:
        """Return the prefix of the endpoint that the request belongs to."""
        return endpoint_of(self._prefixes, request.url.path, self._base) if self._prefixes else ""

    async def acquire(self, request: httpx.Request, deadline: float, cost: int, *, first: bool) -> Permit:
        """Return a permit of the request's endpoint. Raises as `Limiter.acquire` does."""
        endpoint = self.of(request)
        permit = await self._lanes[endpoint].acquire(deadline, cost, first=first)
        permit.endpoint = endpoint
        return permit

    def lanes(self, permit: Permit) -> Lanes:
        """Return the lanes that granted the permit."""
        return self._lanes[permit.endpoint]

    def limiter(self, endpoint: str) -> Limiter:
        """Return the limiter of an endpoint."""
        return self._lanes[endpoint].limiter

    async def usage(self) -> Usage:
        """Return the usage of all endpoints. Raises LimiterUnavailable."""
        return combined({prefix: await lanes.limiter.usage() for prefix, lanes in self._lanes.items()})

    @property
    def are_several(self) -> bool:
        """True if some paths have limits of their own."""
        return bool(self._prefixes)

    @property
    def losses(self) -> int:
        """The number of times that the store had lost data this process knows."""
        return max(lanes.limiter.losses for lanes in self._lanes.values())

    def grant_no_more(self) -> None:
        """Grant no permit of any endpoint from now on."""
        for lanes in self._lanes.values():
            lanes.limiter.grant_no_more()


@asynccontextmanager
async def open_endpoints(
    api: str,
    limits: Mapping[str, Tiers],
    limiter_of: Callable[..., Limiter],
    open_store: Callable[[], PermitStore],
    base: str = "",
) -> AsyncIterator[Endpoints]:
    """Open the limiters of each endpoint: of all its requests, and of its lists.

    `limiter_of` makes a limiter from a name, tiers and a store. Each has a store of its own, since the one that closes
    first also closes its store.
    """
    async with AsyncExitStack() as opened:
        lanes = dict[str, Lanes]()
        for prefix, tiers in limits.items():
            name = name_of_endpoint(api, prefix)
            limiter = limiter_of(name, tiers, open_store())
            lists = limiter_of(name, (), open_store(), lane=LISTS, source="")
            lanes[prefix] = Lanes(await opened.enter_async_context(limiter), await opened.enter_async_context(lists))
        yield Endpoints(lanes, base)
