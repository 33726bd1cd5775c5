"""The words for paginators: `pages: {type: cursor, next: paging.next, param: after}`."""

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import httpx
from pydantic import TypeAdapter

from import_pipeline.contracts.paginators import Cursor, LastId, LinkHeader, NextUrl, Offset, PageNumber, Paginator
from import_pipeline.declarative.unfit import Unfit, shown


@dataclasses.dataclass(frozen=True)
class OnePage(Paginator):
    """A list that is one page, with no parameter for its size."""

    def following(
        self, request: httpx.Request, response: httpx.Response, items: Sequence[Any], per_page: int
    ) -> httpx.Request | None:
        """Return None: no page follows."""
        return None


PAGINATORS: Mapping[str, type[Paginator]] = {
    "page_number": PageNumber,
    "offset": Offset,
    "cursor": Cursor,
    "next_url": NextUrl,
    "link_header": LinkHeader,
    "last_id": LastId,
    "one_page": OnePage,
}
_EXPECTED = f"one of {', '.join(PAGINATORS)}, alone or as {{type: page_number, param: page}}"


def read_pages(declared: object) -> Paginator:
    """Return the paginator that the words declare; a paginator stays as it is. Raises Unfit."""
    if isinstance(declared, Paginator):
        return declared
    words: dict[str, Any] = {"type": declared} if isinstance(declared, str) else {}
    if isinstance(declared, Mapping):
        words = dict(declared)
    kind = words.pop("type", None)
    if not isinstance(kind, str) or kind not in PAGINATORS:
        raise Unfit(_EXPECTED, shown(declared))
    taken = {field.name: field for field in dataclasses.fields(PAGINATORS[kind])}  # type: ignore[arg-type]
    for key, value in words.items():
        if key not in taken:
            raise Unfit(_words_of(kind, list(taken), key), shown(value), str(key))
        if not _fits(taken[key].type, value):
            raise Unfit(_kind_of(taken[key].type), shown(value), key)
    for name, field in taken.items():
        if field.default is dataclasses.MISSING and name not in words:
            raise Unfit(f"{_kind_of(field.type)}, which {kind} needs", "nothing", name)
    return PAGINATORS[kind](**words)


def _words_of(kind: str, known: list[str], key: str) -> str:
    if not known:
        return f"no further key, since {kind} takes none"
    near = get_close_matches(str(key), known, 1)
    return f"no such key; {kind} takes {', '.join(known)}" + (f" (did you mean {near[0]}?)" if near else "")


def _fits(annotation: Any, value: object) -> bool:
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is str or annotation == str | None:
        return (isinstance(value, str) and bool(value)) or (value is None and annotation is not str)
    return value in {"query", "json"}


def _kind_of(annotation: Any) -> str:
    if annotation is int:
        return "a whole number"
    return "a text" if annotation is str or annotation == str | None else "query or json"


def pages_schema() -> dict[str, Any]:
    """Return the JSON schema of the words."""
    variants: list[dict[str, Any]] = [{"type": "string", "enum": list(PAGINATORS)}]
    for kind, paginator in PAGINATORS.items():
        schema = TypeAdapter(paginator).json_schema()
        variants.append(
            {
                "type": "object",
                "title": paginator.__name__,
                "description": " ".join((paginator.__doc__ or "").split()),
                "properties": {"type": {"const": kind}, **schema.get("properties", {})},
                "required": ["type", *schema.get("required", [])],
                "additionalProperties": False,
            }
        )
    return {"anyOf": variants, "description": "The way in which the list names its next page."}
