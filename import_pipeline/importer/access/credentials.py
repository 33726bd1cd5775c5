"""The credentials of an API, added to a request at the moment of sending: parameters first, then authentication."""

from collections.abc import AsyncGenerator, Mapping
from urllib.parse import parse_qsl, urlencode

import httpx


class Credentials(httpx.Auth):
    """Adds the connector's parameters to a request, and then runs the flow of its authentication, if it has one."""

    def __init__(self, params: Mapping[str, str], auth: httpx.Auth | None) -> None:
        self._params, self._auth = params, auth

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Pass requests and responses between the authentication and its caller."""
        if self._params:
            request.url = with_params(request.url, self._params)
        if self._auth is None:
            yield request
            return
        flow = self._auth.async_auth_flow(request)
        try:
            wanted = await anext(flow)
            while True:
                response = yield wanted
                wanted = await flow.asend(response)
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()


def with_params(url: httpx.URL, params: Mapping[str, str]) -> httpx.URL:
    """Return the address with these parameters, except those that it has already.

    The rest of the query stays byte for byte: cursors and signatures hold for these bytes only.
    """
    query = url.query.decode("ascii")
    known = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    added = urlencode({name: value for name, value in params.items() if name not in known})
    return url.copy_with(query="&".join(filter(None, [query, added])).encode("ascii")) if added else url
