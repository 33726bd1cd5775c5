"""The connection data of an API."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True, kw_only=True)
class Connector:
    """The address of an API and the credentials and headers of every request to it.

    `base_url` may have a path, such as `https://api.example.com/v2`; relative requests are joined to it. Requests to
    another origin (scheme, host and port) are refused. `repr()` leaves out headers and auth, since these hold secrets.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    timeout: float = 30.0  #: seconds for a whole request, body included
