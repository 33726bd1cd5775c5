"""The meaning of a token server's answer (RFC 6749, 5), and the life of a token. Text in, value out."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from import_pipeline.rules.responses.status_phrases import phrase

UNAUTHORIZED = 401
#: Statuses below 500 after which a later request may succeed.
TRANSIENT = frozenset({408, 425, 429})
#: Errors of RFC 6749 after which a later request may succeed.
TRANSIENT_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
#: A token is replaced this long before its end, or after this part of its life if that is later.
MARGIN_SECONDS, LIFE_PART = 60.0, 0.8
LONGEST_REASON = 200


@dataclass(frozen=True, kw_only=True)
class GrantedToken:
    """An access token, and the refresh token for the next one if the server sent it."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    lifetime: float | None = None  #: seconds from its request; None: until the API refuses it


@dataclass(frozen=True, kw_only=True)
class TokenFailure:
    """An answer without a token. `error` is the code of RFC 6749, if the server names one."""

    reason: str
    status: int = 0
    error: str = ""
    may_pass: bool = False

    @property
    def is_about_client(self) -> bool:
        """True if the server does not accept the client's id and secret, or not in this place of the request."""
        return self.error == "invalid_client" or (not self.error and self.status == UNAUTHORIZED)


def read_answer(status: int, content_type: str, body: str) -> GrantedToken | TokenFailure:
    """Return the token in an answer, or the failure that the answer means."""
    fields = _fields(content_type, body)
    error = fields.get("error")
    code = error if isinstance(error, str) else ""
    token = fields.get("access_token")
    if 200 <= status < 300 and isinstance(token, str) and token.strip() and not error:
        return _granted(fields, token.strip())
    if error is not None:
        description = fields.get("error_description") or fields.get("message") or ""
        said = ": ".join(str(part) for part in (code or error, description) if part)
        reason = f"it answers {phrase(status)} ({_short(said)})"
    elif 200 <= status < 300:
        reason = f"it answers {phrase(status)} without an access_token"
    elif 300 <= status < 400:
        reason = f"it answers {phrase(status)}: redirects are not followed"
    else:
        reason = f"it answers {phrase(status)}"
    may_pass = status >= 500 or status in TRANSIENT or code in TRANSIENT_ERRORS
    return TokenFailure(reason=reason, status=status, error=code, may_pass=may_pass)


def _granted(fields: Mapping[str, Any], token: str) -> GrantedToken | TokenFailure:
    kind = str(fields.get("token_type") or "bearer")
    if kind.lower() in {"mac", "dpop", "pop", "n_a"}:
        return TokenFailure(reason=f"it grants a token of the type {_short(kind)}, expected a bearer token")
    if not token.isascii() or re.search(r"\s", token):
        return TokenFailure(reason="it grants a token that no header can carry")
    refresh = fields.get("refresh_token")
    return GrantedToken(
        access_token=token,
        refresh_token=refresh if isinstance(refresh, str) else "",
        lifetime=_seconds(fields.get("expires_in")),
    )


def _fields(content_type: str, body: str) -> Mapping[str, Any]:
    """Return the fields of JSON, or of a form as some servers send it; empty for anything else."""
    try:
        found = json.loads(body.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return dict(parse_qsl(body)) if "form" in content_type or "text/plain" in content_type else {}
    return found if isinstance(found, Mapping) else {}


def _seconds(value: object) -> float | None:
    """Return a lifetime, which some servers send as text; None if it is absent, unreadable or not above zero."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < math.inf and not isinstance(value, bool) else None


def _short(text: str) -> str:
    return " ".join(text.split())[:LONGEST_REASON]


def renewal_age(lifetime: float | None) -> float:
    """Return the age in seconds at which a token is replaced, before its end."""
    if lifetime is None:
        return math.inf
    return max(lifetime - MARGIN_SECONDS, lifetime * LIFE_PART)
