"""The proxy for an address from the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY.

The variables have the same meaning as for curl and httpx: the lower-case name wins, and NO_PROXY lists hosts and
domains.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from import_pipeline.errors import SettingError
from import_pipeline.redaction import register

EXPECTED = "an http:// or https:// address of a proxy, with its port"


@dataclass(frozen=True, kw_only=True)
class NamedProxy:
    """A proxy, and the variable or attribute that names it."""

    variable: str
    address: str  #: without user and password
    proxy: httpx.Proxy = field(repr=False)


def environment_proxy(address: str) -> NamedProxy | None:
    """Return the proxy for requests to that address; None if they go directly.

    Raises SettingError for an unsupported proxy, such as a SOCKS proxy.
    """
    parts = urlsplit(address)
    named = getproxies()
    kind = parts.scheme if named.get(parts.scheme) else "all"
    raw = named.get(kind)
    if not raw or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return named_proxy(f"{kind.upper()}_PROXY", raw)


def named_proxy(variable: str, raw: str) -> NamedProxy:
    """Return the proxy at an address, and register its password. Raises SettingError, which names the variable."""
    address = raw if "://" in raw else f"http://{raw}"
    register(address)
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise SettingError(variable, EXPECTED, "an address that cannot be read") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingError(variable, EXPECTED, f"{url.scheme}://{url.netloc.decode()}")
    return NamedProxy(variable=variable, address=str(url.copy_with(userinfo=b"")), proxy=httpx.Proxy(url))
