"""The words for paginators: `pages: {type: cursor, next: paging.next, param: after}`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from import_pipeline.contracts.paginators import Cursor, LastId, LinkHeader, NextUrl, Offset, PageNumber, Paginator
from import_pipeline.declarative.choices import read_choice


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


def read_pages(declared: object) -> Paginator:
    """Return the paginator that the words declare; a paginator stays as it is. Raises Unfit."""
    if isinstance(declared, Paginator):
        return declared
    return read_choice(declared, PAGINATORS, "{type: page_number, param: page}")
