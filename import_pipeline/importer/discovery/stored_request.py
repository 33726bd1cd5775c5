"""A list request as a checkpoint stores it: with its method, headers and body, without its secrets."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from import_pipeline.importer.user_code.request_secrets import KnownSecrets
from import_pipeline.redaction import SECRETS
from import_pipeline.rules.lists.list_identity import fingerprint

#: Headers that httpx sets on every request.
_SET_BY_HTTPX = frozenset({"host", "content-length", "transfer-encoding"})


def dump_request(request: httpx.Request, secrets: KnownSecrets, base: httpx.URL | None = None) -> dict[str, Any] | None:
    """Return the request as JSON values; None if it holds a known secret that has no name to store it by.

    Of its address only path and query are stored, unless it goes to another origin than `base`.
    """
    body, is_binary = _body(request)
    target = secrets.hide(request.url.raw_path.decode("ascii"))
    # In base64 a secret could not be found and masked.
    content = None if is_binary and SECRETS.holds(request.content.decode("latin-1")) else secrets.hide(body)
    headers = [(name, secrets.hide(value)) for name, value in _headers(request)]
    if target is None or content is None or any(value is None for _, value in headers):
        return None
    stored = {"method": request.method, "target": target, "headers": [list(pair) for pair in headers]}
    if base is not None and _origin(request.url) != _origin(base):
        stored["origin"] = _origin(request.url)
    return stored | ({"body": content, "is_binary": is_binary} if body else {})


def load_request(stored: Mapping[str, Any], secrets: KnownSecrets, base: httpx.URL) -> httpx.Request | None:
    """Return the stored request, by default to the origin of `base`; None if it cannot be built with today's secrets.

    Its origin is checked when it is sent.
    """
    try:
        body = secrets.show(stored.get("body", ""))
        return httpx.Request(
            stored["method"],
            f"{stored.get('origin', _origin(base))}{secrets.show(stored['target'])}",
            headers=[(name, secrets.show(value)) for name, value in stored["headers"]],
            content=b64decode(body) if stored.get("is_binary") else body.encode(),
        )
    except (KeyError, TypeError, ValueError, httpx.InvalidURL):
        return None


def print_of(request: httpx.Request, secrets: KnownSecrets, now: datetime) -> str:
    """Return the fingerprint of the list that a first request reads; a new token does not change it."""
    target = secrets.mask(request.url.raw_path.decode("ascii"))
    headers = [(name, secrets.mask(value)) for name, value in _headers(request)]
    return fingerprint(request.method, target, headers, secrets.mask(_body(request)[0]), now)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.multi_items() if name.lower() not in _SET_BY_HTTPX]


def _body(request: httpx.Request) -> tuple[str, bool]:
    """Return the body as text, and whether base64 was needed for that."""
    content = request.read()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return b64encode(content).decode("ascii"), True
    return (text, False) if "\0" not in text else (b64encode(content).decode("ascii"), True)
