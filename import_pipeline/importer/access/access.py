"""Access of one process to a source's API: where requests may go, and what they carry there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx

from import_pipeline.clock import Clock, system_random
from import_pipeline.contracts import Connector, ImportSource, JwtBearer, OAuth2
from import_pipeline.importer.access.connections import Connections
from import_pipeline.importer.access.connector import token_url
from import_pipeline.importer.access.credentials import Credentials
from import_pipeline.importer.access.origins import Origins, origins_of
from import_pipeline.importer.tokens.bearer import BearerToken
from import_pipeline.importer.tokens.server import RehearsedServer, TokenServer
from import_pipeline.importer.tokens.shared_token import SharedToken
from import_pipeline.importer.user_code.auth import BoundedAuth
from import_pipeline.ratelimit.http.body import DEEPEST_JSON, BodyReader
from import_pipeline.ratelimit.http.signing import Signing
from import_pipeline.ratelimit.tokens.open import open_tokens
from import_pipeline.ratelimit.tokens.protocol import TokenStore
from import_pipeline.settings import Settings, variable_prefix

#: Bytes of a token server's answer.
LARGEST_ANSWER = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Access:
    """The origins, headers and credentials of a connector, and the transport that sends without permits."""

    transport: httpx.AsyncBaseTransport
    origins: Origins
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: httpx.Auth | None = field(default=None, repr=False)
    token_server: str = ""  #: as people see it; empty without OAuth 2
    is_unverified: bool = False  #: no certificates are verified

    def admit(self, request: httpx.Request, given: httpx.Headers) -> None:
        """Add the connector's headers to a request, except to a bare origin; `given` are those of the source.

        Raises OtherOrigin.
        """
        self.origins.check(request.url)
        if self.origins.trusts(request.url):
            request.headers.update({name: value for name, value in self.headers.items() if name not in given})

    def options(self, request: httpx.Request) -> Mapping[str, Any]:
        """Return the options with which the transport adds the credentials when the permit was granted."""
        if self.credentials is None or not self.origins.trusts(request.url):
            return {}
        return {"auth": self.credentials, "is_free": self._is_free}

    def _is_free(self, request: httpx.Request) -> bool:
        """Return True for a request of an authentication to a server that is not the API."""
        return not self.origins.has(request.url)


@asynccontextmanager
async def open_access(
    source: ImportSource,
    settings: Settings,
    connector: Connector,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
    tokens: TokenStore | None = None,
) -> AsyncIterator[Access]:
    """Open the access that a connector describes. Tests may pass a transport and a store of tokens."""
    origins, grant, limit = origins_of(connector), connector.auth, max(100, source.concurrency)
    if not isinstance(grant, OAuth2 | JwtBearer):
        own = transport or Connections(source.name, connector, origins, limit)
        yield _access(connector, origins, own, _own_auth(connector))
        return
    url = token_url(connector, grant)
    connections = transport or Connections(source.name, connector, origins, limit, url)
    kind = RehearsedServer if settings.is_rehearsal else TokenServer
    server = kind(
        grant=grant,
        url=url,
        clock=clock,
        send=Signing(connections, BodyReader(LARGEST_ANSWER, DEEPEST_JSON), clock).send,
        setting_of=partial(_setting_of, settings.environment, variable_prefix(source.name)),
    )
    store = tokens or open_tokens(settings.redis_url, settings.limits_path)
    token = SharedToken(server, store, clock, system_random)
    try:
        opened = _access(connector, origins, connections, BearerToken(token, grant.header, grant.scheme))
        yield replace(opened, token_server=f"granted by {server.address}")
    finally:
        await token.aclose()


def _access(
    connector: Connector, origins: Origins, transport: httpx.AsyncBaseTransport, auth: httpx.Auth | None
) -> Access:
    credentials = Credentials(connector.params, auth) if connector.params or auth else None
    return Access(
        transport=transport,
        origins=origins,
        headers=connector.headers,
        credentials=credentials,
        is_unverified=connector.verify is False,
    )


def _setting_of(environment: Mapping[str, str], prefix: str, value: str) -> str:
    """Return the variable of the source with that value; empty if there is none."""
    return next((name for name, raw in environment.items() if name.startswith(prefix) and raw.strip() == value), "")


def _own_auth(connector: Connector) -> httpx.Auth | None:
    """Return the user's own authentication, or that of `https://user:password@…`."""
    url = httpx.URL(connector.base_url)
    if connector.auth is None:
        return httpx.BasicAuth(url.username, url.password) if url.userinfo else None
    given: Any = connector.auth  # httpx also takes a pair of user and password, or a function
    own = httpx.AsyncClient(auth=given, transport=httpx.AsyncBaseTransport()).auth
    return None if own is None else BoundedAuth(own)
