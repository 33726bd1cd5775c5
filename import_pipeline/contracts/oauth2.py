"""Access by OAuth 2: the data of a connector from which an import obtains its access tokens."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class OAuth2:
    """Access tokens by client credentials; with a `refresh_token`, by that one (RFC 6749, 4.4 and 6).

    One process requests a token, and all processes of the rate-limit store share it. It is stored encrypted. A new
    refresh token in an answer replaces `refresh_token`, and is stored before it is used.
    """

    token_url: str  #: absolute, or relative to the base URL
    client_id: str
    client_secret: str = field(default="", repr=False)
    _: KW_ONLY
    refresh_token: str = field(default="", repr=False)  #: the one of the first login
    scope: str = ""  #: separated by spaces
    audience: str = ""
    #: Further parameters of the token request. They replace its own of the same name, such as `grant_type`.
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  #: further headers of the token request
    #: Where the client's id and secret are: in the body, or in a Basic header. "auto" tries the body, then the header.
    client_auth: Literal["auto", "body", "basic"] = "auto"
    body: Literal["form", "json"] = "form"  #: the format of the token request
    header: str = "Authorization"  #: the header of API requests that carries the token
    scheme: str = "Bearer"  #: the word before the token in that header; may be empty
    timeout: float = 10.0  #: seconds for a token request


@dataclass(frozen=True)
class JwtBearer:
    """Access tokens by a signed assertion (RFC 7523), as Google's service accounts use them.

    `private_key` is a PEM text. The tokens are shared and stored as those of `OAuth2`.
    """

    token_url: str  #: absolute, or relative to the base URL
    issuer: str  #: the claim `iss`: the service account, or the client's id
    private_key: str = field(repr=False)
    _: KW_ONLY
    scope: str = ""  #: separated by spaces
    subject: str = ""  #: the claim `sub`: the user in whose name requests are sent; empty: none
    audience: str = ""  #: the claim `aud`; empty: the token URL
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)  #: further claims
    key_id: str = ""  #: the header `kid`
    algorithm: str = "RS256"
    lifetime: float = 300.0  #: seconds that an assertion is valid
    params: Mapping[str, str] = field(default_factory=dict, repr=False)  #: further parameters of the token request
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  #: further headers of the token request
    body: Literal["form", "json"] = "form"  #: the format of the token request
    header: str = "Authorization"  #: the header of API requests that carries the token
    scheme: str = "Bearer"  #: the word before the token in that header; may be empty
    timeout: float = 10.0  #: seconds for a token request
