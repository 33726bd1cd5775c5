"""Read a page of a list with the source's hooks: its items, its total, the request for the next page."""

from typing import Any

import httpx

from import_pipeline.contracts import Importable, ImportSource
from import_pipeline.contracts.paginators import ListCutShort, PageNumber
from import_pipeline.errors import HookFailed
from import_pipeline.importer.user_code.hooks import (
    FLAG,
    ITEMS,
    REQUEST,
    REQUEST_OR_NONE,
    TEXT,
    TOTAL,
    VERSION,
    Returns,
    call_hook,
    instance,
)
from import_pipeline.tracking.lists.list_pages import Discovered
from import_pipeline.tracking.user_rows.row_ids import item_id

MAX_EXTERNAL_ID = 255


def first_request(source: ImportSource, page: int = 1) -> httpx.Request:
    """Return the request for page one, or for a later page of a list whose pages have numbers. Raises HookFailed."""
    if source.pages is None:
        return call_hook(source, "list_request", page, source.per_page, returns=REQUEST)
    request = call_hook(source, "list_request", returns=REQUEST)
    if isinstance(source.pages, PageNumber):
        return call_hook(source.pages, "at", request, page, source.per_page, returns=REQUEST)
    return call_hook(source.pages, "first", request, source.per_page, returns=REQUEST)


def page_items(source: ImportSource, response: httpx.Response) -> list[Any]:
    """Return the items on a page, as the source reads them. Raises HookFailed."""
    return call_hook(source, "items", response, returns=ITEMS, response=response)


def page_problem(source: ImportSource, response: httpx.Response) -> str | None:
    """Return why the response is no page of the list; None if it is one."""
    try:
        page_items(source, response)
        if source.pages is None and type(source).next_request is ImportSource.next_request:  # else nothing calls it
            call_hook(source, "has_next_page", response, returns=FLAG, response=response)
    except HookFailed as error:
        return str(error)
    return None


def total_of(source: ImportSource, response: httpx.Response) -> int | None:
    """Return the total that the page reports, or None. Raises HookFailed."""
    return call_hook(source, "total", response, returns=TOTAL, response=response)


def next_request(source: ImportSource, response: httpx.Response, page: int) -> httpx.Request | None:
    """Return the request after that page, None at the end. Raises HookFailed and ListCutShort."""
    if source.pages is not None:
        items, first = page_items(source, response), first_request(source)
        given = (first, response, items, source.per_page)
        passes = (ListCutShort,)
        return call_hook(source.pages, "following", *given, returns=REQUEST_OR_NONE, response=response, passes=passes)
    if type(source).next_request is not ImportSource.next_request:
        return call_hook(source, "next_request", response, page, returns=REQUEST_OR_NONE, response=response)
    # The default hook, step by step: an error then names the hook that caused it.
    has_next = call_hook(source, "has_next_page", response, returns=FLAG, response=response)
    return first_request(source, page + 1) if has_next else None


def parse_items(source: ImportSource, response: httpx.Response, page: int) -> list[Discovered]:
    """Return the page's items; one that the source cannot read is included with its problem. Raises HookFailed."""
    return [
        _discovered(source, response, item, f"page {page}, item {number}")
        for number, item in enumerate(page_items(source, response), start=1)
    ]


def detail_request_of(source: ImportSource, item: Any) -> httpx.Request | None:
    """Return the detail request of a list item; None if the list has the whole item. Raises HookFailed."""
    importable, _ = _stub(source, item, None)
    return call_hook(importable, "detail_request", returns=REQUEST_OR_NONE)


def _stub(source: ImportSource, item: Any, response: httpx.Response | None) -> tuple[Importable, str]:
    """Return the stub of a list item, and its id as text. Raises HookFailed."""
    stub = instance(source.model, f"a new {source.model.__name__}")

    def read(value: Any) -> tuple[Importable, str]:
        importable: Importable = stub.read(value)
        external_id = importable.external_id
        return importable, "" if external_id is None else item_id(source.model, TEXT.read(external_id))

    return call_hook(source, "stub", item, returns=Returns(stub.expected, read), response=response)


def _discovered(source: ImportSource, response: httpx.Response, item: Any, place: str) -> Discovered:
    """Return one list item as the source reads it; an unreadable one becomes a failed item instead of being lost."""
    external_id = f"({place})"
    try:
        importable, found = _stub(source, item, response)
        if not 0 < len(found) <= MAX_EXTERNAL_ID or not _is_storable(found):
            expected = f"an external_id of 1 to {MAX_EXTERNAL_ID} characters"
            raise HookFailed(f"{type(source).__name__}.stub", f"must return {expected}, got {found[:40]!r}")
        external_id = found
        version = call_hook(source, "version", item, returns=VERSION, response=response)
        whole = call_hook(importable, "detail_request", returns=REQUEST_OR_NONE) is None
    except HookFailed as error:
        is_named = external_id != f"({place})"
        return Discovered(external_id=external_id, importable=None, problem=str(error), is_named=is_named)
    return Discovered(external_id=external_id, importable=importable, version=version, whole=whole)


def _is_storable(text: str) -> bool:
    """Return True if every database accepts the text: no zero byte, no half of a surrogate pair."""
    return "\0" not in text and text.encode(errors="replace").decode() == text
