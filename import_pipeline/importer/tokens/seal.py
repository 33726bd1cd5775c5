"""Encryption of stored tokens, with a key derived from the client's secret: the store alone reveals no token."""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from import_pipeline.contracts import JwtBearer, OAuth2
from import_pipeline.rules.token_answers import GrantedToken

PURPOSE = b"import_pipeline tokens, 1"


@dataclass(frozen=True, kw_only=True)
class SealedToken:
    """A token as it is sealed, with the facts that other processes need."""

    granted: GrantedToken
    client_auth: str = ""  #: the place of the client's secret that the server accepted


def name_of(grant: OAuth2 | JwtBearer, address: str) -> str:
    """Return the name under which a grant's token is stored: the same for all that may use the same token.

    The configured refresh token is a part of it: after a new login, the tokens of the old one are not used.
    """
    who = (grant.client_id, grant.refresh_token) if isinstance(grant, OAuth2) else (grant.issuer, grant.subject)
    extra = dict(grant.claims) if isinstance(grant, JwtBearer) else {}
    parts = [address, *who, grant.scope, grant.audience, sorted(grant.params.items()), extra]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


class Seal:
    """Seals and opens the tokens of one grant."""

    def __init__(self, grant: OAuth2 | JwtBearer, name: str) -> None:
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        secret = (grant.client_secret or grant.refresh_token) if isinstance(grant, OAuth2) else grant.private_key
        derivation = HKDF(algorithm=SHA256(), length=32, salt=name.encode(), info=PURPOSE)
        self._fernet = Fernet(urlsafe_b64encode(derivation.derive(secret.encode())))

    def seal(self, token: SealedToken) -> bytes:
        """Return the token, encrypted and authenticated."""
        values = {**vars(token), "granted": vars(token.granted)}
        return self._fernet.encrypt(json.dumps(values).encode())

    def open(self, value: bytes) -> SealedToken | None:
        """Return the token; None if another secret or another version sealed it."""
        from cryptography.fernet import InvalidToken

        try:
            values: Mapping[str, Any] = json.loads(self._fernet.decrypt(value))
            return SealedToken(**{**values, "granted": GrantedToken(**values["granted"])})
        except (InvalidToken, ValueError, TypeError, KeyError):
            return None
