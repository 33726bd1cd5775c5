"""Requests from declared words."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from import_pipeline.declarative.groups import RequestWords
from import_pipeline.declarative.templates import fill, fill_path
from import_pipeline.declarative.words import Declaration


def request_of(words: RequestWords, declaration: Declaration, values: Mapping[str, Any]) -> httpx.Request:
    """Return the request, with the parameters and headers that every request of the source has."""
    params = {**declaration.params, **_params(words.params, values)}
    headers = {**declaration.headers, **words.headers}
    body = None if words.body is None else fill(words.body, values)
    path = fill_path(words.path, values)
    return httpx.Request(words.method, path, params=params or None, headers=headers, json=body)


def _params(params: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters. Ids are joined by commas, or repeated if the name ends with `[]`."""
    joined = {name: ",".join(map(str, each)) for name, each in values.items() if isinstance(each, list)}
    return {name: fill(each, values if name.endswith("[]") else {**values, **joined}) for name, each in params.items()}


def each_of(template: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return the template with each mapping `{each: ...}` replaced by a list with one member per row."""
    if isinstance(template, Mapping):
        if template.keys() == {"each"}:
            return [fill(template["each"], row) for row in rows]
        return {name: each_of(value, rows) for name, value in template.items()}
    return [each_of(value, rows) for value in template] if isinstance(template, list | tuple) else template
