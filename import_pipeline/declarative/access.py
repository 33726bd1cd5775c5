"""The words for credentials. They name environment variables, and never hold a secret.

`secret: API_KEY` of the source orders reads ORDERS_API_KEY, as `settings.secret("API_KEY")` does.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import httpx

from import_pipeline.contracts.connector import Connector
from import_pipeline.contracts.oauth2 import OAuth2
from import_pipeline.declarative.choices import read_choice
from import_pipeline.declarative.unfit import Unfit, UnknownKey
from import_pipeline.redaction import HIDDEN
from import_pipeline.settings import SourceSettings

#: A name, not a secret: those have small letters or signs, or are longer.
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class Access(ABC):
    """A way to send credentials."""

    @property
    @abstractmethod
    def references(self) -> Mapping[str, str]:
        """The keys that name variables, and those names."""

    @abstractmethod
    def applied(self, connector: Connector, settings: SourceSettings) -> Connector:
        """Return the connector with the credentials. Raises SettingError for a variable that is absent."""


@dataclass(frozen=True)
class Bearer(Access):
    """A bearer token: `Authorization: Bearer ...`."""

    secret: str

    @property
    def references(self) -> Mapping[str, str]:
        """The token's variable."""
        return {"secret": self.secret}

    def applied(self, connector: Connector, settings: SourceSettings) -> Connector:
        """Return the connector with the header."""
        headers = {**connector.headers, "Authorization": f"Bearer {_secret(settings, self.secret)}"}
        return replace(connector, headers=headers)


@dataclass(frozen=True)
class Header(Access):
    """A key in a header, after `scheme` and a space if the API wants a word before it."""

    name: str
    secret: str
    scheme: str | None = None

    @property
    def references(self) -> Mapping[str, str]:
        """The key's variable."""
        return {"secret": self.secret}

    def applied(self, connector: Connector, settings: SourceSettings) -> Connector:
        """Return the connector with the header, and without a bearer token of the setting TOKEN."""
        value = f"{self.scheme} " * bool(self.scheme) + _secret(settings, self.secret)
        kept = {name: each for name, each in connector.headers.items() if name.lower() != self.name.lower()}
        return replace(connector, headers={**kept, self.name: value})


@dataclass(frozen=True)
class Query(Access):
    """A key in the query. It is added when a request is sent, and is in no checkpoint and no log."""

    name: str
    secret: str

    @property
    def references(self) -> Mapping[str, str]:
        """The key's variable."""
        return {"secret": self.secret}

    def applied(self, connector: Connector, settings: SourceSettings) -> Connector:
        """Return the connector with the parameter."""
        return replace(connector, params={**connector.params, self.name: _secret(settings, self.secret)})


@dataclass(frozen=True)
class Basic(Access):
    """A user and a password (RFC 7617). `password` may be left out, as for keys that are sent as the user."""

    user: str
    password: str | None = None

    @property
    def references(self) -> Mapping[str, str]:
        """The variables of both."""
        return {"user": self.user} | ({"password": self.password} if self.password else {})

    def applied(self, connector: Connector, settings: SourceSettings) -> Connector:
        """Return the connector with the authentication."""
        password = _secret(settings, self.password) if self.password else ""
        return _with_auth(connector, httpx.BasicAuth(_secret(settings, self.user), password))


@dataclass(frozen=True, kw_only=True)
class OAuth(Access):
    """OAuth 2 by client credentials, or by a refresh token. The tokens are shared by all processes."""

    token_url: str
    client_id: str = "CLIENT_ID"
    client_secret: str = "CLIENT_SECRET"  # noqa: S105 - the name of a variable
    refresh_token: str | None = None
    scope: str | None = None
    audience: str | None = None
    client_auth: Literal["auto", "body", "basic"] = "auto"
    body: Literal["form", "json"] = "form"

    @property
    def references(self) -> Mapping[str, str]:
        """The variables of client and refresh token."""
        named = {"client_id": self.client_id, "client_secret": self.client_secret}
        return named | ({"refresh_token": self.refresh_token} if self.refresh_token else {})

    def applied(self, connector: Connector, settings: SourceSettings) -> Connector:
        """Return the connector with the authentication."""
        found = {key: _secret(settings, name) for key, name in self.references.items()}
        auth = OAuth2(
            self.token_url,
            found["client_id"],
            found["client_secret"],
            refresh_token=found.get("refresh_token", ""),
            scope=self.scope or "",
            audience=self.audience or "",
            client_auth=self.client_auth,
            body=self.body,
        )
        return _with_auth(connector, auth)


ACCESS: Mapping[str, type[Access]] = {
    "bearer": Bearer,
    "header": Header,
    "query": Query,
    "basic": Basic,
    "oauth2": OAuth,
}


def read_access(declared: object) -> Access:
    """Return the access that the words declare. Raises Unfit, without a value that may be a secret."""
    try:
        found = read_choice(declared, ACCESS, "{type: header, name: X-Api-Key, secret: API_KEY}")
    except UnknownKey:
        raise
    except Unfit as error:
        got = error.got if error.got == "nothing" else HIDDEN + error.question
        raise Unfit(error.expected, got, error.key) from None
    for key, name in found.references.items():
        if not _NAME.fullmatch(name):
            expected = "the name of an environment variable without the source's name, such as API_KEY"
            raise Unfit(expected, HIDDEN, key)
    return found


def _secret(settings: SourceSettings, name: str) -> str:
    return settings.secret(name.removeprefix(settings.prefix))


def _with_auth(connector: Connector, auth: httpx.Auth | OAuth2) -> Connector:
    """Return the connector with that authentication in the place of the setting TOKEN."""
    kept = {name: each for name, each in connector.headers.items() if name.lower() != "authorization"}
    return replace(connector, headers=kept, auth=auth)
