"""The token requests of a grant (RFC 6749, 2.3.1, 4.4.2 and 6; RFC 7523, 2.1)."""

from base64 import b64encode
from datetime import datetime
from urllib.parse import quote_plus

import httpx

from import_pipeline.contracts import JwtBearer, OAuth2
from import_pipeline.importer.tokens.assertion import GRANT_TYPE, signed
from import_pipeline.ratelimit.http.decompression import ACCEPTED

_HEADERS = {"User-Agent": "import-pipeline", "Accept": "application/json", "Accept-Encoding": ACCEPTED}
BODY, BASIC = "body", "basic"


def token_request(
    grant: OAuth2 | JwtBearer, url: httpx.URL, *, refresh_token: str, client_auth: str, now: datetime
) -> httpx.Request:
    """Return the request for a token: by the refresh token if there is one, else by the grant itself."""
    headers = dict(_HEADERS)
    if isinstance(grant, JwtBearer):
        values = {"grant_type": GRANT_TYPE, "assertion": signed(grant, str(url), now)}
    elif refresh_token:
        values = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    else:
        values = {"grant_type": "client_credentials"}
    if isinstance(grant, OAuth2):
        if client_auth == BASIC:
            login = f"{quote_plus(grant.client_id)}:{quote_plus(grant.client_secret)}"
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        else:
            values |= {"client_id": grant.client_id}
            values |= {"client_secret": grant.client_secret} if grant.client_secret else {}
        values |= {"audience": grant.audience} if grant.audience else {}
    values |= {"scope": grant.scope} if grant.scope else {}
    values |= grant.params
    headers |= grant.headers
    if grant.body == "json":
        return httpx.Request("POST", url, headers=headers, json=values)
    return httpx.Request("POST", url, headers=headers, data=values)
