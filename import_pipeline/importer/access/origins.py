"""The origins that requests of a source may go to, and those that get its credentials."""

from dataclasses import dataclass

import httpx

from import_pipeline.contracts.connector import Connector, Origin
from import_pipeline.errors import OtherOrigin

Key = tuple[str, str, int | None]
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origins:
    """The base URL's origin and the further ones of a connector."""

    base: httpx.URL
    trusted: frozenset[Key]  #: get headers, parameters, authentication and client certificate
    bare: frozenset[Key]

    def check(self, url: httpx.URL) -> None:
        """Raise OtherOrigin for an address that no request may go to."""
        if not self.has(url):
            raise OtherOrigin(
                f"a request would go to {url.scheme}://{url.netloc.decode()}, "
                f"expected the source's own origin {self.base.scheme}://{self.base.netloc.decode()}"
                + (" or one of its further origins" if len(self.trusted | self.bare) > 1 else "")
            )

    def has(self, url: httpx.URL) -> bool:
        """Return True for an address that requests may go to."""
        found = key_of(url)
        return found in self.trusted or found in self.bare

    def trusts(self, url: httpx.URL) -> bool:
        """Return True for an address that gets the credentials."""
        return key_of(url) in self.trusted


def key_of(url: httpx.URL) -> Key:
    """Return scheme, host and port of an address; the port of its scheme if it names none."""
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)


def origins_of(connector: Connector) -> Origins:
    """Return the origins of a connector that was checked."""
    base = httpx.URL(connector.base_url)
    further = [Origin(each) if isinstance(each, str) else each for each in connector.origins]
    trusted = frozenset({key_of(base), *(key_of(httpx.URL(each.url)) for each in further if each.credentials)})
    return Origins(
        base=base, trusted=trusted, bare=frozenset(key_of(httpx.URL(each.url)) for each in further) - trusted
    )
