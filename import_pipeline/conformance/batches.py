"""Batches in the conformance kit: which items a request asks for, and answers that lack one."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.batches import is_batched


class WatchedRequests:
    """A source whose detail requests are noted, so that a fault can follow one item from batch to batch."""

    def __init__(self, source: ImportSource) -> None:
        self.source = source
        self.item = ""  #: the first item that was requested in a batch; for single items, its address
        self._batches: dict[tuple[str, bytes, bytes], set[str]] = {}
        if is_batched(source):
            self._build, self.source = source.details_request, copy.copy(source)
            self.source.details_request = self._noted  # type: ignore[method-assign]

    def has_item(self, request: httpx.Request) -> bool:
        """Return True if a request that was sent asks for the item."""
        if not is_batched(self.source):
            self.item = self.item or str(request.url)
            return str(request.url) == self.item
        path = bytes(request.url.raw_path)
        return any(
            self.item in asked and request.method == method and path.endswith(built) and request.content == content
            for (method, built, content), asked in self._batches.items()
        )

    def _noted(self, rows: Sequence[Any]) -> httpx.Request:
        request, ids = self._build(rows), [str(row.external_id) for row in rows]
        self.item = self.item or ids[0]
        self._batches[request.method, bytes(request.url.raw_path), request.read()] = set(ids)
        return request


def without_first_item(source: ImportSource) -> ImportSource:
    """Return the source; its answers seem to lack one item, the same each time."""
    read, changed, missing = source.details, copy.copy(source), list[str]()

    def details(response: httpx.Response) -> Iterable[Any]:
        found = read(response)
        pairs = list(found.items() if isinstance(found, Mapping) else found)
        if pairs and not missing:
            missing.append(str(pairs[0][0]))
        return [pair for pair in pairs if str(pair[0]) not in missing]

    changed.details = details  # type: ignore[method-assign]
    return changed
