"""Paginators: the usual ways in which a list names its next page.

A source sets `pages` to one of them and writes `list_request()` for the first page only. Each computes
the next request from the first request and a response. Nothing in this module sends a request.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, unquote_plus

import httpx

from import_pipeline.contracts.links import next_link

#: The place of a parameter: the address's query, or the JSON object in the request's body.
Place = Literal["query", "json"]


class ListCutShort(Exception):
    """The response announces more pages but names none. The import ends as incomplete, with this reason."""


class Paginator(ABC):
    """The way in which a list names its next page."""

    def first(self, request: httpx.Request, per_page: int) -> httpx.Request:
        """Return the request for the first page: the source's own, with the page size if the paginator sends one."""
        return request

    @abstractmethod
    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the page after `response`, which holds those items; None at the end of the list.

        `request` is the request for the first page, as `first` returned it. Raises ListCutShort.
        """

    def total_of(self, response: httpx.Response) -> int | None:
        """Return the number of items in the list, if the paginator reads it and the page has it."""
        return None


class _Sized(Paginator):
    """A paginator whose first request is the source's own, with the page size."""

    size: str | None  #: the parameter of the page size; None sends none
    where: Place

    def first(self, request: httpx.Request, per_page: int) -> httpx.Request:
        """Return the request with the page size."""
        return _with(request, self.where, self.size, per_page)


@dataclass(frozen=True, kw_only=True)
class PageNumber(Paginator):
    """Pages with numbers: `?page=2&per_page=100`.

    The list ends at the page for which `more` is false, or whose number is that in `last`. Without either, it ends at
    the first page without items.
    """

    param: str = "page"
    size: str | None = "per_page"  #: the parameter of the page size; None sends none
    start: int = 1  #: the number of the first page
    more: str | None = None  #: the path of a field that says if another page follows, such as `meta.has_more`
    last: str | None = None  #: the path of a field with the number of the last page, such as `meta.total_pages`
    where: Place = "query"

    def first(self, request: httpx.Request, per_page: int) -> httpx.Request:
        """Return the request for the first page."""
        return self.at(request, 1, per_page)

    def at(self, request: httpx.Request, page: int, per_page: int) -> httpx.Request:
        """Return the request for a page, counted from 1 whatever number the API gives to its first one."""
        sized = _with(request, self.where, self.size, per_page)
        return _with(sized, self.where, self.param, self.start + page - 1)

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the page with the next number."""
        number = _number(_sent(response.request, self.where, self.param), self.start)
        last = None if self.last is None else _number(found_at(json_body(response), self.last), None)
        if not _continues(response, self.more, otherwise=bool(items) if last is None else number < last):
            return None
        return self.at(request, number - self.start + 2, per_page)


@dataclass(frozen=True, kw_only=True)
class Offset(Paginator):
    """Pages that begin after a number of items: `?offset=100&limit=100`.

    The next page begins after the items of this one, not after `per_page` items, since an API may return fewer. The
    list ends at the page for which `more` is false, or after the number of items in `total`. Without either, it ends
    at the first page without items.
    """

    param: str = "offset"
    size: str | None = "limit"
    more: str | None = None  #: the path of a field that says if another page follows
    total: str | None = None  #: the path of a field with the number of items in the list
    where: Place = "query"

    def first(self, request: httpx.Request, per_page: int) -> httpx.Request:
        """Return the request for the items from the first one."""
        return _with(_with(request, self.where, self.size, per_page), self.where, self.param, 0)

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the items after those of this page."""
        total = self._announced(response)
        begins_at = _number(_sent(response.request, self.where, self.param), 0)
        after = begins_at + (len(items) or per_page)  # skip an empty page by its size
        if not _continues(response, self.more, otherwise=bool(items) if total is None else after < total):
            return None
        return _with(request, self.where, self.param, after)

    def total_of(self, response: httpx.Response) -> int | None:
        """Return the number in the field `total`; None without one, or if it is below 0, as some APIs say unknown."""
        total = self._announced(response)
        return None if total is None or total < 0 else total

    def _announced(self, response: httpx.Response) -> int | None:
        found: int | None = None if self.total is None else _number(found_at(json_body(response), self.total), None)
        return found


@dataclass(frozen=True, kw_only=True)
class Cursor(_Sized):
    """Pages that name the cursor of the next one: `{"paging": {"next": {"after": "NTI1"}}}`.

    The list ends if the field is absent, null or empty, or if `more` is false. With `where="json"` a cursor may be any
    value, such as the list of Elasticsearch.
    """

    next: str  #: the path of the field with the next cursor, such as `paging.next.after`
    param: str  #: the parameter that takes it; with `where="json"` a path, such as `variables.after`
    more: str | None = None  #: the path of a field that says if another page follows
    size: str | None = None
    where: Place = "query"

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request with the cursor that the page names."""
        cursor = found_at(json_body(response), self.next)
        if not _continues(response, self.more, otherwise=not _is_empty(cursor)):
            return None
        if _is_empty(cursor):
            raise ListCutShort(f"its {self.more} says that more items follow, but its {self.next} names no cursor")
        if cursor is True or (self.where == "query" and not isinstance(cursor, str | int | float)):
            raise ListCutShort(f"its {self.next} names a cursor that no parameter holds, a {type(cursor).__name__}")
        return _with(request, self.where, self.param, cursor)


@dataclass(frozen=True)
class NextUrl(Paginator):
    """Pages that hold the address of the next one in a field: `NextUrl("next_page_url")`, `NextUrl("links.next")`."""

    path: str
    end: str | None = None  #: the path of a field that is true on the last page, if that names an address, too

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the address that the page names; a relative one is relative to the page's own."""
        if _continues(response, self.end, otherwise=False):
            return None
        address = found_at(json_body(response), self.path)
        if _is_empty(address):
            return None
        if not isinstance(address, str):
            raise ListCutShort(f"its {self.path} names an address that is no text, but a {type(address).__name__}")
        return _at_address(request, address.strip())


@dataclass(frozen=True)
class LinkHeader(Paginator):
    """Pages that name the next one in a Link header with `rel="next"` (RFC 8288), as GitHub's do."""

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the address in the Link header."""
        address = next_link(response)
        return None if address is None else _at_address(request, address)


@dataclass(frozen=True, kw_only=True)
class LastId(_Sized):
    """Pages that begin after the last item of the page before: `?starting_after=cus_42`, as Stripe's do.

    The list ends at the page for which `more` is false; without it, at the first page without items.
    """

    param: str = "starting_after"
    id: str = "id"  #: the path of the id in an item
    more: str | None = "has_more"  #: the path of a field that says if another page follows
    size: str | None = "limit"
    where: Place = "query"

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the items after the last one of this page."""
        last = found_at(items[-1], self.id) if items else None
        if not _continues(response, self.more, otherwise=bool(items)):
            return None
        if not _is_named(last):
            raise ListCutShort(f"more items follow, but the last item of the page has no {self.id} to continue after")
        return _with(request, self.where, self.param, last)


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


def _continues(response: httpx.Response, more: str | None, *, otherwise: bool) -> bool:
    """Return True if the field `more` announces a further page; `otherwise` if there is no such field."""
    said = None if more is None else found_at(json_body(response), more)
    if isinstance(said, str):  # some APIs send booleans as text
        return said.strip().lower() not in {"", "false", "no", "0"}
    return otherwise if said is None else bool(said)


def _is_empty(value: Any) -> bool:
    """Return True for the values by which APIs say that no page follows."""
    return value is None or value is False or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _is_named(value: Any) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or (isinstance(value, int) and not isinstance(value, bool))


def _number(value: Any, otherwise: Any) -> Any:
    try:
        return otherwise if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _at_address(request: httpx.Request, address: str) -> httpx.Request:
    headers = [(name, value) for name, value in request.headers.raw if name.lower() not in {b"host", b"content-length"}]
    return httpx.Request(request.method, address, headers=headers, content=request.read())


def _sent(request: httpx.Request, where: Place, path: str) -> Any:
    """Return the value of a parameter in a request that was sent."""
    if where == "query":
        return request.url.params.get(path)
    try:
        return found_at(json.loads(request.read()), path)
    except ValueError:
        return None


def _name_of(pair: bytes) -> str:
    return unquote_plus(pair.partition(b"=")[0].decode())


def _with(request: httpx.Request, where: Place, path: str | None, value: Any) -> httpx.Request:
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
