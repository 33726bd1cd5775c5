"""The connection data of an API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from import_pipeline.contracts.oauth2 import JwtBearer, OAuth2


@dataclass(frozen=True)
class Origin:
    """A further origin that requests may go to: scheme, host and port, such as https://files.example.com.

    `credentials=True` sends it the connector's headers, parameters, authentication and client certificate, too.
    """

    url: str
    credentials: bool = False


@dataclass(frozen=True, kw_only=True)
class Connector:
    """The address of an API, and the credentials and headers of every request to it.

    `base_url` may have a path, such as `https://api.example.com/v2`; relative requests are joined to it. Requests to
    origins other than this one and `origins` are refused. `repr()` leaves out what holds secrets.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Added to the query of each request when it is sent. No checkpoint, log or stored payload has them.
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Applied when the permit of a request was granted, so that no queue outlives a token or a time stamp.
    auth: httpx.Auth | OAuth2 | JwtBearer | None = field(default=None, repr=False)
    #: Further origins of requests. They get no credentials, except as an `Origin` with `credentials=True`.
    origins: Sequence[str | Origin] = ()
    #: Such as "http://user:password@proxy:3128". None: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY decide.
    proxy: str | None = field(default=None, repr=False)
    #: A file or folder of PEM certificates to trust in place of the usual ones. False verifies none, with a warning.
    verify: bool | str | Path = True
    #: A client certificate: a PEM file with its key, or (certificate, key), or (certificate, key, password).
    cert: str | Path | tuple[str | Path, ...] | None = field(default=None, repr=False)
    #: Seconds for a whole request, body included. None: those of the source, or of its setting TIMEOUT.
    timeout: float | None = None
