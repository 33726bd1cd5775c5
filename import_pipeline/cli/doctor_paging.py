"""Notes of `doctor` on the paging of a list, by its first page: a size that has no effect, a field that is absent."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from import_pipeline.contracts.page_requests import json_body
from import_pipeline.contracts.paginators import Cursor, LastId, ListCutShort, NextUrl, Offset, PageNumber
from import_pipeline.declarative.sightings import may_have
from import_pipeline.declarative.values import near_path
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.settings import variable_prefix
from import_pipeline.wording import plural

TO_AN_EMPTY_PAGE = "the list ends only at a page without items"
AFTER_ONE_PAGE = "the list ends at its first page"
BY_CURSOR = "only a page without a cursor ends the list"


def paging_notes(of_list: SourceList, response: httpx.Response) -> list[str]:
    """Return a sentence for each sign that the pages are not read as they are meant. Raises HookFailed."""
    found, total = len(of_list.items(response)), of_list.total(response)
    return [*_size_note(of_list, response, found, total), *_absent_fields(of_list, response, found, total)]


def _size_note(of_list: SourceList, response: httpx.Response, found: int, total: int | None) -> Iterator[str]:
    """Yield a sentence if the page has another number of items than requested, and is not known to be the last."""
    asked, name = of_list.source.per_page, of_list.source.name
    parameter = _size_parameter(response.request, asked)
    if parameter is None or found in {0, asked} or (total is not None and total <= found) or _ends(of_list, response):
        return
    unless = ", unless the list has no more" if found < asked and total is None else ""
    yield (
        f"the first list page has {plural(found, 'item')}, and {asked} were requested by {parameter}: the API ignores "
        f"or limits {parameter}{unless}; check its name, or set {variable_prefix(name)}PER_PAGE"
    )


def _absent_fields(of_list: SourceList, response: httpx.Response, found: int, total: int | None) -> Iterator[str]:
    """Yield a sentence for each field of the paginator that a page lacks although more items may follow."""
    may_follow = found >= of_list.source.per_page if total is None else total > found
    if not may_follow:
        return
    body, place = json_body(response), of_list.source.hook_words.get("pages", "pages")
    for word, path, effect in _fields(of_list.source.pages):
        if path is not None and not may_have(body, path):
            near = near_path(body, path)
            yield f"{place}.{word}: the first list page has no {path}{near}, and more items may follow: {effect}"


def _fields(pages: object) -> Iterator[tuple[str, str | None, str]]:
    """Yield word, path and effect of the absence of each field that the paginator reads, but for a default."""
    match pages:
        case PageNumber():
            yield from (("more", pages.more, TO_AN_EMPTY_PAGE), ("last", pages.last, TO_AN_EMPTY_PAGE))
        case Offset():
            yield from (("more", pages.more, TO_AN_EMPTY_PAGE), ("total", pages.total, TO_AN_EMPTY_PAGE))
        case Cursor():
            yield from (("next", pages.next, AFTER_ONE_PAGE), ("more", pages.more, BY_CURSOR))
        case NextUrl():
            yield "path", pages.path, AFTER_ONE_PAGE
        case LastId() if pages.more != LastId.more:
            yield "more", pages.more, TO_AN_EMPTY_PAGE


def _ends(of_list: SourceList, response: httpx.Response) -> bool:
    """Return True if the page says that none follows."""
    try:
        return of_list.next_request(response, 1) is None
    except ListCutShort:
        return False


def _size_parameter(request: httpx.Request, size: int) -> str | None:
    """Return the parameter, or the path in a JSON body, that requests so many items; None if there is none."""
    in_query = next((name for name, value in request.url.params.multi_items() if value == str(size)), None)
    if in_query is not None:
        return in_query
    try:
        return _path_of(json.loads(request.read() or b"null"), size)
    except ValueError:
        return None


def _path_of(body: Any, value: int) -> str | None:
    if not isinstance(body, Mapping):
        return None
    for name, each in body.items():
        if each == value and not isinstance(each, bool):
            return str(name)
        if (inner := _path_of(each, value)) is not None:
            return f"{name}.{inner}"
    return None
