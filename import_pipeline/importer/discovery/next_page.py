"""The request for the next list page, from the source's reading of the response."""

import re
from collections.abc import Sequence

import httpx

from import_pipeline.contracts.page_requests import json_body
from import_pipeline.contracts.paginators import Offset
from import_pipeline.errors import HookFailed, ImportFailed
from import_pipeline.importer.discovery.checkpoint import Checkpoint
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.rules.lists.continuation import named_next
from import_pipeline.rules.lists.counted_pages import is_counted
from import_pipeline.rules.responses.addresses import resolve

#: A numbered list ends with this many pages in a row without a body. One such page may be a gap, so one page beyond it
#: is requested.
ABSENT_PAGES = 2
#: Escaped ASCII characters in JSON: some serializers write addresses with them.
_ESCAPED = re.compile(rb"\\u00([0-9a-fA-F]{2})")


class ListFailed(ImportFailed):
    """This list cannot be read. `kind` is the reason without addresses: equal ones have the same cause."""

    def __init__(self, reason: str, kind: str, *, is_denied: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.is_denied = is_denied


def following(
    context: ImportContext, of_list: SourceList, response: httpx.Response, after: Checkpoint
) -> httpx.Request | None:
    """Return the request for the next page with its absolute address, None if the source finds the list's end.

    Raises HookFailed, ImportFailed, and ListCutShort if the response says that more pages follow but names none.
    """
    if after.absent and of_list.is_numbered:
        is_gap = after.page > 1 and after.absent < ABSENT_PAGES
        return absolute(context, of_list.first_request(after.page + 1)) if is_gap else None
    try:
        request = of_list.next_request(response, after.page)
    except HookFailed:
        if after.absent:  # there is no body to find a next page in
            return None
        raise
    if request is None:
        return None
    return absolute(context, request) if of_list.is_numbered else absolute(context, request, response)


def counts_pages(of_list: SourceList, current: httpx.Request, request: httpx.Request, after: Checkpoint) -> bool:
    """Return True if the list's pages are counted, as its paginator or the next request shows."""
    if of_list.is_numbered or isinstance(of_list.source.pages, Offset):
        return True
    now, then = (f"{each.url}\n{each.read().decode(errors='replace')}" for each in (current, request))
    per_page = of_list.source.per_page
    return of_list.may_skip and is_counted(now, then, page=after.page, items=after.seen, per_page=per_page)


def absolute(context: ImportContext, request: httpx.Request, response: httpx.Response | None = None) -> httpx.Request:
    """Return the source's request with its absolute address; a link in the response is relative to the response's own.

    Raises OtherOrigin if the origin is not the source's, and ListFailed if the request cannot be sent.
    """
    try:
        url = context.api.join(request).url
    except httpx.LocalProtocolError as error:
        raise ListFailed(f"the list's {error}", str(error)) from error
    if response is not None and request.url.is_relative_url:
        reference = str(request.url)
        base, page = str(context.api.client.base_url), str(response.request.url)
        url = httpx.URL(resolve(reference, page=page, base=base, is_quoted=_quotes(response, reference)))
    headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
    return httpx.Request(request.method, url, headers=headers, content=request.read())


def _quotes(response: httpx.Response, reference: str) -> bool:
    """Return True if the response contains the whole reference."""
    link = reference.encode()
    if any(b"<" + link + b">" in value for name, value in response.headers.raw if name.lower() == b"link"):
        return True
    body = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), response.content)
    body = body.replace(rb"\/", b"/").replace(b"&amp;", b"&")
    return any(quoted in body for quoted in (b'"' + link + b'"', b"'" + link + b"'", b">" + link + b"<"))


def overlooked(of_list: SourceList, response: httpx.Response, after: Checkpoint, ids: Sequence[str]) -> str | None:
    """Return why the end that the source found is doubtful: the response names a next page. None if it is not.

    The page that completes the list's own total certainly ends it. An empty page of a numbered list ends it unless the
    body states that more follow, as after a filter or a gap: many APIs link to further pages without end.
    """
    if after.total is not None and after.seen == after.total:
        return None
    links, known = response.headers.get_list("link"), _own_addresses(response)
    if not ids and of_list.is_numbered:
        links = []
    sign = named_next(links, json_body(response), known=known, is_empty=not ids)
    return None if sign is None else f"page {after.page} names a next page in {sign}, which the source did not find"


def _own_addresses(response: httpx.Response) -> list[str]:
    url = response.request.url
    return [str(url), url.raw_path.decode("ascii")]
