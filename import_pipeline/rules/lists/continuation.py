"""Signs in a response that its list continues, for a source that found no next page. No I/O.

They only cast doubt on an end, and never lead to a page. So a sign counts only if APIs leave it out on the last page,
and nothing else in the response says that this is the last one.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from import_pipeline.rules.responses.link_header import next_target

#: Objects in which APIs put paging data.
_CONTAINERS = frozenset(
    {"links", "_links", "meta", "metadata", "_meta", "pagination", "paging", "pager", "page", "cursors"}
    | {"page_info", "pageinfo", "response_metadata", "responsemetadata", "paging_info"}
)
#: Fields with an address, a number or a cursor of the next page; null, empty or absent on the last one.
_NEXT = frozenset(
    {"next", "next_page", "next_url", "next_page_url", "next_link", "next_href", "next_cursor", "next_page_token"}
    | {"next_token", "next_page_cursor", "nextpage", "nexturl", "nextpageurl", "nextlink", "nexthref", "nextcursor"}
    | {"nextpagetoken", "nexttoken", "@odata.nextlink", "odata.nextlink", "@nextlink", "nextrecordsurl"}
)
#: Fields that state if the list continues.
_MORE = frozenset(
    {"has_more", "hasmore", "has_next", "hasnext", "has_next_page", "hasnextpage", "more_results", "moreresults"}
)
#: Fields that are true at the end of a list.
_DONE = frozenset({"last", "is_last", "islast", "end_of_stream", "endofstream", "done", "is_end"})


def named_next(
    link_headers: Iterable[str], body: Any, *, known: Iterable[str] = (), is_empty: bool = False
) -> str | None:
    """Return the part of the response that names a next page; None if none does, or if this page is the last.

    `known` are the addresses that were requested already: a link to one of them leads back. On an empty page a cursor
    is no sign: some APIs return one on every page, and sources end such a list at its first empty page.
    """
    fields = list(_fields(body))
    if any((name in _MORE and value is False) or (name in _DONE and value is True) for name, value in fields):
        return None
    target = next_target(link_headers)
    if target and target not in known:
        return "its Link header"
    for name, value in fields:
        if name in _MORE and value is True:
            return f"its field {name}"
        if not is_empty and name in _NEXT and value not in known and _is_named(value):
            return f"its field {name}"
    return None


def _fields(body: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of the body and of its paging objects, with their names in lower case."""
    if not isinstance(body, Mapping):
        return
    for key, value in body.items():
        name = str(key).lower()
        yield name, value
        if name in _CONTAINERS and isinstance(value, Mapping):
            yield from ((str(inner).lower(), each) for inner, each in value.items())


def _is_named(value: Any) -> bool:
    if isinstance(value, Mapping):  # HAL: {"href": …}
        return bool(value.get("href"))
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool) and value > 0  # the number of a page
