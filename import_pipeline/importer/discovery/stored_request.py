"""A list request as a checkpoint holds it: whole, whatever its method, headers and body, but for its secrets."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from import_pipeline.importer.user_code.request_secrets import KnownSecrets
from import_pipeline.redaction import SECRETS
from import_pipeline.rules.lists.list_identity import fingerprint

#: Headers that httpx writes anew for every request.
_WRITTEN_ANEW = frozenset({"host", "content-length", "transfer-encoding"})


def dump_request(request: httpx.Request, secrets: KnownSecrets) -> dict[str, Any] | None:
    """Return the request as it is stored; None if a secret in it is known but has no name to be stored by.

    Only its path and query are stored: it goes to the source's own origin. `request` has an absolute address.
    """
    body, is_binary = _body(request)
    target = secrets.hide(request.url.raw_path.decode("ascii"))
    # Packed, a secret would be in no need of hiding, and could not be hidden.
    content = None if is_binary and SECRETS.holds(request.content.decode("latin-1")) else secrets.hide(body)
    headers = [(name, secrets.hide(value)) for name, value in _headers(request)]
    if target is None or content is None or any(value is None for _, value in headers):
        return None
    stored = {"method": request.method, "target": target, "headers": [list(pair) for pair in headers]}
    return stored | ({"body": content, "is_binary": is_binary} if body else {})


def load_request(stored: Mapping[str, Any], secrets: KnownSecrets, base: httpx.URL) -> httpx.Request | None:
    """Return the stored request to the origin of `base`; None if it cannot be built from what is known now."""
    try:
        body = secrets.show(stored.get("body", ""))
        return httpx.Request(
            stored["method"],
            f"{base.scheme}://{base.netloc.decode('ascii')}{secrets.show(stored['target'])}",
            headers=[(name, secrets.show(value)) for name, value in stored["headers"]],
            content=b64decode(body) if stored.get("is_binary") else body.encode(),
        )
    except (KeyError, TypeError, ValueError, httpx.InvalidURL):
        return None


def print_of(request: httpx.Request, secrets: KnownSecrets, now: datetime) -> str:
    """Return the fingerprint of the list that a first request asks for; a new token leaves it as it is."""
    target = secrets.mask(request.url.raw_path.decode("ascii"))
    headers = [(name, secrets.mask(value)) for name, value in _headers(request)]
    return fingerprint(request.method, target, headers, secrets.mask(_body(request)[0]), now)


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.multi_items() if name.lower() not in _WRITTEN_ANEW]


def _body(request: httpx.Request) -> tuple[str, bool]:
    """Return the body as text, and if it had to be packed for that."""
    content = request.read()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return b64encode(content).decode("ascii"), True
    return (text, False) if "\0" not in text else (b64encode(content).decode("ascii"), True)
