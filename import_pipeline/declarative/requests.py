"""Requests from declared words."""

from collections.abc import Mapping
from typing import Any

import httpx

from import_pipeline.declarative.templates import fill, fill_path
from import_pipeline.declarative.words import Declaration, RequestWords


def request_of(words: RequestWords, declaration: Declaration, values: Mapping[str, Any]) -> httpx.Request:
    """Return the request, with the parameters and headers that every request of the source has."""
    params = {**declaration.params, **fill(words.params, values)}
    headers = {**declaration.headers, **words.headers}
    body = None if words.body is None else fill(words.body, values)
    path = fill_path(words.path, values)
    return httpx.Request(words.method, path, params=params or None, headers=headers, json=body)
