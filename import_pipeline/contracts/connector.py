"""How an API is reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True, kw_only=True)
class Connector:
    """How the API is reached. `base_url` is what relative requests are joined to, and the only origin ever asked."""

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    timeout: float = 30.0  #: seconds for a whole request, body included
