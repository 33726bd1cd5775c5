"""Paginators: the usual ways in which a list names its next page.

A source sets `pages` to one of them and writes `list_request()` for the first page only. Each computes
the next request from the first request and a response. Nothing in this module sends a request.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from import_pipeline.contracts.links import next_link
from import_pipeline.contracts.page_requests import (
    Place,
    at_address,
    found_at,
    json_body,
    sent_parameter,
    with_parameter,
)


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
        return with_parameter(request, self.where, self.size, per_page)


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
        sized = with_parameter(request, self.where, self.size, per_page)
        return with_parameter(sized, self.where, self.param, self.start + page - 1)

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the page with the next number."""
        number = _number(sent_parameter(response.request, self.where, self.param), self.start)
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
        return with_parameter(with_parameter(request, self.where, self.size, per_page), self.where, self.param, 0)

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the items after those of this page."""
        total = self.total_of(response)
        begins_at = _number(sent_parameter(response.request, self.where, self.param), 0)
        after = begins_at + (len(items) or per_page)  # skip an empty page by its size
        if not _continues(response, self.more, otherwise=bool(items) if total is None else after < total):
            return None
        return with_parameter(request, self.where, self.param, after)

    def total_of(self, response: httpx.Response) -> int | None:
        """Return the number in the field `total`; one below 0 says that it is unknown."""
        found = -1 if self.total is None else _number(found_at(json_body(response), self.total), -1)
        return None if found < 0 else int(found)


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
        return with_parameter(request, self.where, self.param, cursor)


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
        return at_address(request, address.strip())


@dataclass(frozen=True)
class LinkHeader(Paginator):
    """Pages that name the next one in a Link header with `rel="next"` (RFC 8288), as GitHub's do."""

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return the request for the address in the Link header."""
        address = next_link(response)
        return None if address is None else at_address(request, address)


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
        return with_parameter(request, self.where, self.param, last)


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
