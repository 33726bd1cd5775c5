"""What a source makes of a page of its list: the items, the total, the request for the next page."""

from typing import Any

import httpx

from import_pipeline.contracts import Importable, ImportSource
from import_pipeline.errors import ContractError
from import_pipeline.importer.payload import BAD_PAYLOAD, told
from import_pipeline.importer.quoting import reading
from import_pipeline.redaction import meet_text
from import_pipeline.tracking.pages import Discovered

MAX_EXTERNAL_ID = 255


def unreadable(source: ImportSource, response: httpx.Response) -> str | None:
    """Why the answer is no page of the list; None where it is one."""
    try:
        with reading(response):
            for _ in source.items(response):
                pass
            if type(source).next_request is ImportSource.next_request:  # else nobody asks it
                source.has_next_page(response)
    except BAD_PAYLOAD as error:
        return f"its body is not what {source.name}.items expects: {told(error)}"
    return None


def total_of(source: ImportSource, response: httpx.Response) -> int | None:
    """The total that the page tells, if it does. Raises ContractError."""
    expected = "a whole number from 0, or None"
    try:
        total = source.total(response)
    except BAD_PAYLOAD as error:
        raise ContractError(source.name, "total", expected, told(error)) from error
    if total is not None and (not isinstance(total, int) or total < 0):
        raise ContractError(source.name, "total", expected, repr(total))
    return total


def next_request(source: ImportSource, response: httpx.Response, page: int) -> httpx.Request | None:
    """The request after that page, None at the end. Raises ContractError."""
    try:
        return source.next_request(response, page)
    except BAD_PAYLOAD as error:
        raise ContractError(source.name, "next_request", "a request, or None", told(error)) from error


def items_on(source: ImportSource, response: httpx.Response, page: int) -> list[Discovered]:
    """The page's items; what the source cannot read is among them with its problem. Raises ContractError."""
    return [
        _discovered(source, item, f"page {page}, item {number}")
        for number, item in enumerate(source.items(response), start=1)
    ]


def _discovered(source: ImportSource, item: Any, place: str) -> Discovered:
    """The source's reading of one list item; what it cannot read becomes a failed item instead of being lost."""
    name = source.name
    try:
        importable: Importable = source.stub(item)
        version = source.version(item)
    except BAD_PAYLOAD as error:
        meet_text(repr(item))
        problem = f"{name}.stub rejects the list item: {told(error)}"
        return Discovered(external_id=f"({place})", importable=None, problem=problem)
    if not isinstance(importable, source.model):
        raise ContractError(name, "stub", f"a {source.model.__name__}", type(importable).__name__)
    external_id = "" if importable.external_id is None else str(importable.external_id)
    if not 0 < len(external_id) <= MAX_EXTERNAL_ID or not _is_storable(external_id):
        problem = f"{name}.stub: expected an external_id of 1 to {MAX_EXTERNAL_ID} characters, got {external_id[:40]!r}"
        return Discovered(external_id=f"({place})", importable=None, problem=problem)
    try:
        whole = importable.detail_request() is None
    except BAD_PAYLOAD as error:
        problem = f"{type(importable).__name__}.detail_request fails: {told(error)}"
        return Discovered(external_id=external_id, importable=None, problem=problem)
    return Discovered(
        external_id=external_id,
        importable=importable,
        version=None if version is None else str(version),
        whole=whole,
    )


def _is_storable(text: str) -> bool:
    """Whether every database takes the text: no zero byte, no half of a surrogate pair."""
    return "\0" not in text and text.encode(errors="replace").decode() == text
