"""Parameters of the requests for pages, and fields of their answers by paths."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, unquote_plus

import httpx

#: The place of a parameter: the address's query, or the JSON object in the request's body.
Place = Literal["query", "json"]


def found_at(body: Any, path: str) -> Any:
    """Return the value at a path of names and positions, such as `data.items.0.id`; None if there is none.

    A name that contains dots is tried as a whole first.
    """
    if isinstance(body, Mapping) and path in body:
        return body[path]
    name, _, rest = path.partition(".")
    if isinstance(body, Mapping):
        inner = body.get(name)
    elif isinstance(body, Sequence) and not isinstance(body, str | bytes) and name.isdecimal():
        inner = body[int(name)] if int(name) < len(body) else None
    else:
        return None
    return found_at(inner, rest) if rest else inner


def json_body(response: httpx.Response) -> Any:
    """Return the response's body as JSON; None if it is none."""
    try:
        return response.json()
    except (ValueError, LookupError, RecursionError):
        return None


def at_address(request: httpx.Request, address: str) -> httpx.Request:
    """Return the request at another address, with the same method, headers and body."""
    headers = [(name, value) for name, value in request.headers.raw if name.lower() not in {b"host", b"content-length"}]
    return httpx.Request(request.method, address, headers=headers, content=request.read())


def sent_parameter(request: httpx.Request, where: Place, path: str) -> Any:
    """Return the value of a parameter in a request that was sent."""
    if where == "query":
        return request.url.params.get(path)
    try:
        return found_at(json.loads(request.read()), path)
    except ValueError:
        return None


def _name_of(pair: bytes) -> str:
    return unquote_plus(pair.partition(b"=")[0].decode())


def with_parameter(request: httpx.Request, where: Place, path: str | None, value: Any) -> httpx.Request:
    """Return the request with a parameter set; as it is if `path` is None.

    Raises ValueError if the parameter belongs in a JSON body and the request has another one.
    """
    if path is None:
        return request
    headers = [(name, each) for name, each in request.headers.raw if name.lower() not in {b"host", b"content-length"}]
    if where == "query":
        kept = [each for each in request.url.query.split(b"&") if each and _name_of(each) != path]
        pair = f"{quote(path, safe='[]$.-_~')}={quote(str(value), safe='-._~')}".encode()
        url = request.url.copy_with(query=b"&".join([*kept, pair]))
        return httpx.Request(request.method, url, headers=headers, content=request.read())
    text = request.read()
    body = json.loads(text) if text else {}
    if not isinstance(body, dict):
        raise ValueError(f"expected a JSON object in the body of the list's request, got {type(body).__name__}")
    inner = body
    *names, name = path.split(".")
    for each in names:
        inner = inner.setdefault(each, {})
        if not isinstance(inner, dict):
            raise ValueError(f"expected a JSON object at {each!r} in the body of the list's request")
    inner[name] = value
    typed = [pair for pair in headers if pair[0].lower() != b"content-type"] + [(b"Content-Type", b"application/json")]
    return httpx.Request(request.method, request.url, headers=typed, content=json.dumps(body).encode())
