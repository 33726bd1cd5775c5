"""The connections of a source: each request goes through the proxy and the TLS context of its origin."""

import httpx

from import_pipeline.contracts.connector import Connector
from import_pipeline.errors import SettingError
from import_pipeline.importer.access.origins import Key, Origins, key_of
from import_pipeline.importer.access.tls import context_of
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections
from import_pipeline.ratelimit.http.proxies import EXPECTED, NamedProxy, environment_proxy, named_proxy


def proxy_for(source: str, connector: Connector, address: str) -> NamedProxy | None:
    """Return the proxy for requests to that address: the connector's, else the environment's. Raises SettingError."""
    if connector.proxy is None:
        return environment_proxy(address)
    if not connector.proxy:
        raise SettingError(f"{source}: Connector.proxy", f"{EXPECTED}, or None", "an empty text")
    return named_proxy(f"{source}: Connector.proxy", connector.proxy)


class Connections(httpx.AsyncBaseTransport):
    """Real connections to the origins of a source, to its token server, and to those of its `httpx.Auth`.

    The client certificate is shown to the trusted origins and to `token_server` only. Raises SettingError for an
    invalid proxy or certificate.
    """

    def __init__(
        self, source: str, connector: Connector, origins: Origins, limit: int, token_server: httpx.URL | None = None
    ) -> None:
        self._source, self._connector, self._origins, self._limit = source, connector, origins, limit
        self._token_server = None if token_server is None else key_of(token_server)
        self._by_origin: dict[Key, httpx.AsyncBaseTransport] = {}
        self._by_way: dict[tuple[str, bool], httpx.AsyncBaseTransport] = {}
        self._of(origins.base)  # wrong files and addresses are found now

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on a connection to its origin."""
        return await self._of(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._by_way.values():
            await transport.aclose()

    def _of(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        key = key_of(url)
        if key not in self._by_origin:
            self._by_origin[key] = self._opened(key, f"{url.scheme}://{url.netloc.decode()}")
        return self._by_origin[key]

    def _opened(self, key: Key, address: str) -> httpx.AsyncBaseTransport:
        has_cert = key in self._origins.trusted or key == self._token_server
        found = proxy_for(self._source, self._connector, address)
        way = ("" if found is None else str(found.proxy.url), has_cert)
        if way not in self._by_way:
            self._by_way[way] = open_connections(
                limit=self._limit,
                verify=context_of(self._source, self._connector, with_cert=has_cert),
                proxy=found.proxy if found else None,
            )
        return self._by_way[way]
