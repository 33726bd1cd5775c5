"""Relative requests without a body, joined to the base address: the form of nearly every request of an import.

`httpx.AsyncClient.build_request` does it for any request. It quotes and checks scheme, host and port anew for each, and
looks for each header in each: a tenth of what an item costs. The result here is the same, without timeouts: the limiter
has a deadline for each request, and theirs would never end earlier.
"""

from collections.abc import Mapping, Sequence

import httpx

#: Headers of a request whose framing httpx decides.
_FRAMED = frozenset({b"content-length", b"transfer-encoding"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class RelativeRequests:
    """Joins requests to the base address of a client, and adds its headers and those of the connector."""

    def __init__(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
        defaults = client.headers.copy()
        defaults.update(headers)
        self._base = client.base_url.copy_with(raw_path=client.base_url.raw_path)  # `/` in place of an empty path
        self._host = (b"Host", self._base.netloc)
        self._defaults = [(name.lower(), (name, value)) for name, value in defaults.raw if name.lower() != b"host"]
        self._alone = httpx.Headers([self._host, *(pair for _, pair in self._defaults)])
        self._is_usable = not self._base.query and "host" not in defaults

    def joined(self, request: httpx.Request) -> httpx.Request | None:
        """Return the request as it is sent; None for one that httpx has to build."""
        path = request.url.raw_path
        if not self._is_usable or request.method not in _BODILESS or request.url.is_absolute_url or b"/." in path:
            return None
        headers = self._with(request.headers.raw) if request.headers else self._alone
        if request.read() or headers is None:
            return None
        joined = httpx.Request(request.method, _below(self._base, request.url), headers=headers, stream=request.stream)
        joined.read()
        return joined

    def _with(self, given: Sequence[tuple[bytes, bytes]]) -> httpx.Headers | None:
        """Return the headers of a request that has some itself; None if they decide how it is sent."""
        names = {name.lower() for name, _ in given}
        if b"host" in names or not _FRAMED.isdisjoint(names):
            return None
        return httpx.Headers([self._host, *(pair for name, pair in self._defaults if name not in names), *given])


def _below(base: httpx.URL, relative: httpx.URL) -> httpx.URL:
    """Return a relative address below the base, whose path ends with a slash.

    Both were parsed and quoted before, and httpx has no public way to put parsed parts together.
    """
    parts = relative._uri_reference
    url = httpx.URL.__new__(httpx.URL)
    url._uri_reference = base._uri_reference._replace(
        path=base._uri_reference.path + parts.path.lstrip("/"), query=parts.query
    )
    return url
