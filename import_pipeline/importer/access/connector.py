"""The connector of a source: called, checked before the first request, its secrets registered for masking."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from import_pipeline.contracts import Connector, ImportSource, JwtBearer, OAuth2, Origin
from import_pipeline.errors import SettingError
from import_pipeline.importer.tokens.assertion import check_key
from import_pipeline.importer.user_code.hooks import CONNECTOR, call_hook
from import_pipeline.redaction import HIDDEN, SECRETS, is_harmless_parameter, register, register_headers
from import_pipeline.settings import Settings
from import_pipeline.settings.parsers import http_url

_AUTHS = (httpx.Auth, OAuth2, JwtBearer, tuple)


def connector_of(source: ImportSource, settings: Settings) -> Connector:
    """Return the source's connector, and register its secrets. Raises HookFailed or SettingError."""
    own = source.own_settings(settings)
    connector = call_hook(source, "connector", own, returns=CONNECTOR, passes=(SettingError,))
    register(connector.base_url)
    register_headers(connector.headers)
    for attribute, expected, got in _faults(connector):
        raise SettingError(f"{source.name}: Connector.{attribute}", expected, got)
    SECRETS.register(value for name, value in connector.params.items() if not is_harmless_parameter(name))
    if isinstance(connector.auth, OAuth2 | JwtBearer):
        _check_grant(source.name, connector, connector.auth)
    return connector


def token_url(connector: Connector, grant: OAuth2 | JwtBearer) -> httpx.URL:
    """Return the absolute address of the token server."""
    return httpx.URL(connector.base_url).copy_with(userinfo=b"").join(grant.token_url)


def token_server_of(connector: Connector) -> httpx.URL | None:
    """Return the address of the token server; None without OAuth 2."""
    grant = connector.auth
    return token_url(connector, grant) if isinstance(grant, OAuth2 | JwtBearer) else None


def _faults(connector: Any) -> Iterator[tuple[str, str, str]]:
    """Yield each attribute with a wrong value, the expectation, and a description of the value."""
    if not _are_texts(connector.params):
        yield "params", "names and texts, such as {'appid': key}", HIDDEN
    if connector.auth is not None and not (callable(connector.auth) or isinstance(connector.auth, _AUTHS)):
        yield "auth", "an httpx.Auth, OAuth2 or JwtBearer", type(connector.auth).__name__
    if connector.proxy is not None and not isinstance(connector.proxy, str):
        yield "proxy", "the address of a proxy, or None", type(connector.proxy).__name__
    if not isinstance(connector.verify, bool | str | Path):
        yield "verify", "True, or a file or folder of PEM certificates", type(connector.verify).__name__
    parts = connector.cert if isinstance(connector.cert, tuple) else (connector.cert or "",)
    if not all(isinstance(part, str | Path) for part in parts):
        yield "cert", "the path of a PEM file, or a tuple of paths", type(connector.cert).__name__
    if isinstance(connector.origins, str | Mapping):
        yield "origins", "a tuple, such as ('https://files.example.com',)", repr(connector.origins)
        return
    for each in connector.origins:
        address = each.url if isinstance(each, Origin) else each
        if not isinstance(address, str) or not _is_origin(address):
            yield "origins", "scheme, host and port, such as https://files.example.com", _shown(address)


def _check_grant(source: str, connector: Connector, grant: OAuth2 | JwtBearer) -> None:
    """Raise SettingError for an OAuth 2 grant that no token can be requested with, and register its secrets."""
    kind = f"{source}: {type(grant).__name__}"
    for attribute, expected, got in _grant_faults(connector, grant):
        raise SettingError(f"{kind}.{attribute}", expected, got)
    register_headers(grant.headers)
    if isinstance(grant, JwtBearer):
        SECRETS.register([grant.private_key, *(line for line in grant.private_key.splitlines() if len(line) > 30)])
        check_key(f"{kind}.private_key", grant)
    else:
        SECRETS.register([grant.client_secret, grant.refresh_token])


def _grant_faults(connector: Connector, grant: OAuth2 | JwtBearer) -> Iterator[tuple[str, str, str]]:
    own = ("client_id", "client_secret", "refresh_token") if isinstance(grant, OAuth2) else ("issuer", "private_key")
    for attribute in ("token_url", "scope", "audience", "header", "scheme", *own):
        if not isinstance(getattr(grant, attribute), str):
            yield attribute, "a text", type(getattr(grant, attribute)).__name__
            return
    if not grant.token_url or not _is_token_url(connector, grant):
        yield "token_url", "an address such as https://login.example.com/oauth/token", _shown(grant.token_url)
    if not (grant.client_id if isinstance(grant, OAuth2) else grant.issuer):
        yield ("client_id" if isinstance(grant, OAuth2) else "issuer"), "a text", "nothing"
    if isinstance(grant, OAuth2) and not (grant.client_secret or grant.refresh_token):
        yield "client_secret", "the client's secret, or a refresh token", "nothing"
    if isinstance(grant, OAuth2) and grant.client_auth not in {"auto", "body", "basic"}:
        yield "client_auth", "auto, body or basic", repr(grant.client_auth)
    if grant.body not in {"form", "json"}:
        yield "body", "form or json", repr(grant.body)
    for attribute in ("params", "headers"):
        if not _are_texts(getattr(grant, attribute)):
            yield attribute, "names and texts", HIDDEN
    if isinstance(grant.timeout, bool) or not isinstance(grant.timeout, int | float) or not 0 < grant.timeout < 600:
        yield "timeout", "seconds above 0 and below 600", repr(grant.timeout)
    if isinstance(grant, JwtBearer) and not (isinstance(grant.lifetime, int | float) and 0 < grant.lifetime < math.inf):
        yield "lifetime", "seconds above 0", repr(grant.lifetime)


def _are_texts(values: object) -> bool:
    return isinstance(values, Mapping) and all(isinstance(part, str) for pair in values.items() for part in pair)


def _is_address(address: str) -> bool:
    try:
        http_url(address.partition("?")[0])
    except ValueError:
        return False
    return "@" not in urlsplit(address).netloc


def _is_token_url(connector: Connector, grant: OAuth2 | JwtBearer) -> bool:
    """Return True for an address, or a path on the API's own host. `https://` alone would be a path."""
    given = urlsplit(grant.token_url)
    return bool(given.netloc or not given.scheme) and _is_address(str(token_url(connector, grant)))


def _is_origin(address: str) -> bool:
    return _is_address(address) and urlsplit(address).path in {"", "/"} and "?" not in address


def _shown(address: object) -> str:
    return repr(address) if isinstance(address, str) and "@" not in address and "?" not in address else HIDDEN
