"""Bodies of answers as JSON. Other formats are named, since only a class can read them."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.values import json_number


def json_of(response: httpx.Response, key: str) -> Any:
    """Return the JSON of an answer. Raises Unfit, which names the key that reads it."""
    try:
        return response.json(parse_float=json_number)
    except ValueError:
        raise _no_json(response.text, key) from None


def lines_of(response: httpx.Response, key: str) -> list[Any]:
    """Return the JSON values of the lines of an answer. Raises Unfit, which names the key that reads it."""
    found = []
    for number, line in enumerate(response.text.split("\n"), start=1):
        if line.strip():
            try:
                found.append(json.loads(line, parse_float=json_number))
            except ValueError:
                raise Unfit(f"JSON in each line, since the format is ndjson: line {number}", shown(line), key) from None
    return found


def says_error(body: Any) -> bool:
    """Return True for a JSON object that states an error, whatever the status of its answer: GraphQL, Slack."""
    return isinstance(body, Mapping) and bool(body.get("error") or body.get("errors"))


def _no_json(text: str, key: str) -> Unfit:
    body = text.strip()
    if not body:
        return Unfit("JSON in the answer", "an empty body", key)
    if body.startswith("<") and "<html" not in body[:1000].lower():
        return Unfit("JSON in the answer; XML needs a source that is written as a class", f"XML: {shown(body)}", key)
    first = body.partition("\n")[0]
    is_lines = first != body and first.startswith(("{", "[")) and _is_json(first)
    expected = "JSON in the answer" + "; for a JSON value in each line: format: ndjson" * is_lines
    return Unfit(expected, shown(body), key)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
