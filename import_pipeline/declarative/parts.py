"""The hooks of declared sources that not all of them have."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from import_pipeline.clock import SystemClock
from import_pipeline.contracts import Importable
from import_pipeline.declarative.answers import action_of
from import_pipeline.declarative.bodies import json_of
from import_pipeline.declarative.declared import Declared
from import_pipeline.declarative.groups import WindowWords
from import_pipeline.declarative.requests import each_of, request_of
from import_pipeline.declarative.unfit import Unfit
from import_pipeline.declarative.values import WHOLE, near_path, outline, value_at
from import_pipeline.declarative.windows import bounds_of, halves, windows
from import_pipeline.declarative.words import Declaration
from import_pipeline.rules.responses.actions import ResponseAction


class Listed(Declared):
    """One list."""

    def list_request(self) -> httpx.Request:
        """Return the declared request for the first page of the whole list."""
        return request_of(self.declaration.list, self.declaration, {})


class Changing(Declared):
    """A list of what changed."""

    def changes_request(self, since: str) -> httpx.Request:
        """Return the declared request for the first page of what changed since that position."""
        return _changes_request(self.declaration, {"since": since})


class Sliced(Declared):
    """A list per item of a parent, or per key."""

    def slice_request(self, key: str) -> httpx.Request:
        """Return the declared request for the first page of a slice; in an incremental import, of its changes."""
        if self.since is not None:
            return _changes_request(self.declaration, {**bounds_of(key), "since": self.since})
        return request_of(self.declaration.list, self.declaration, bounds_of(key))


def _changes_request(declaration: Declaration, values: Mapping[str, str]) -> httpx.Request:
    """Return the declared request for what changed since the position that `values` has."""
    words = declaration.incremental
    request = declaration.list if words is None or words.list is None else words.list
    if words is not None and words.param is not None:
        request = request.model_copy(update={"params": {**request.params, words.param: values["since"]}})
    return request_of(request, declaration, values)


class Keyed(Declared):
    """Declared keys of slices."""

    def slices(self) -> Iterable[str]:
        """Return the declared keys."""
        declared = self.declaration.slices
        return windows(declared, SystemClock().now()) if isinstance(declared, WindowWords) else declared


class Windowed(Declared):
    """Windows of time whose lists the API ends at a number of items."""

    def split(self, key: str) -> Iterable[str]:
        """Return the halves of a window; none of a second."""
        return halves(key)


class Answered(Declared):
    """A table of answers."""

    def classify(self, response: httpx.Response) -> ResponseAction | None:
        """Return the action of the first row that fits, in the table of answers."""
        return action_of(self.declaration.answers, response)


class Detailed(Declared):
    """One request per item, or none."""

    def detail(self, response: httpx.Response) -> Mapping[str, Any]:
        """Return the item in a detail's answer. Raises Unfit."""
        words = self.declaration.detail
        path = WHOLE if words is None else words.item
        body = json_of(response, "detail")
        found = value_at(body, path)
        if not isinstance(found, Mapping):
            place = "" if path == WHOLE else f" at {path}"
            raise Unfit(f"a JSON object{place}", outline(body), "detail", question=near_path(body, path))
        return found


class Batched(Declared):
    """One request for many items."""

    def details_request(self, rows: Sequence[Importable]) -> httpx.Request:
        """Return the declared request for the details of these rows."""
        words = self.declaration.batch
        assert words is not None  # noqa: S101 - a source without it has no such hook
        ids = [row.external_id for row in rows]
        each = [row.values() for row in rows if isinstance(row, self.model)]
        request = words.model_copy(update={"body": each_of(words.body, each)})
        return request_of(request, self.declaration, {"ids": ids})

    def details(self, response: httpx.Response) -> Iterable[tuple[Any, Mapping[str, Any]]]:
        """Return id and detail of each item in the answer. Raises Unfit."""
        words = self.declaration.batch
        assert words is not None  # noqa: S101 - a source without it has no such hook
        body = json_of(response, "batch")
        found = value_at(body, words.items)
        if not isinstance(found, list):
            question = near_path(body, words.items, is_list=True)
            raise Unfit(f"a list at {words.items} in the answer", outline(body), "batch.items", question=question)
        pairs = [(value_at(each, words.id), value_at(each, words.item)) for each in found]
        if found and all(key is None for key, _ in pairs):
            question = near_path(found[0], words.id)
            raise Unfit(f"an id at {words.id} in each detail", outline(found[0]), "batch.id", question=question)
        return pairs
