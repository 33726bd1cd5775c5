"""Placeholders in declared requests: `/orders/{id}`, and names of columns."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from import_pipeline.contracts.importable import path_segment
from import_pipeline.declarative.unfit import Unfit

_PLACEHOLDER = re.compile(r"\{(\w+(?:\.\w+)?)\}")


def placeholders(template: Any) -> set[str]:
    """Return the names of all placeholders in a text, a list or a mapping."""
    if isinstance(template, str):
        return set(_PLACEHOLDER.findall(template))
    if isinstance(template, Mapping):
        return set().union(*map(placeholders, template.values())) if template else set()
    return set().union(*map(placeholders, template)) if isinstance(template, list | tuple) and template else set()


def whole_placeholder(template: Any) -> str | None:
    """Return the name of the placeholder if the text is nothing else."""
    match = _PLACEHOLDER.fullmatch(template) if isinstance(template, str) else None
    return match[1] if match else None


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Return the template with its placeholders replaced. A text that is one placeholder becomes the value itself."""
    if isinstance(template, str):
        whole = whole_placeholder(template)
        if whole is not None and whole in values:
            return values[whole]
        return _replaced(template, values, _text)
    if isinstance(template, Mapping):
        return {name: fill(each, values) for name, each in template.items()}
    return [fill(each, values) for each in template] if isinstance(template, list | tuple) else template


def fill_path(template: str, values: Mapping[str, Any]) -> str:
    """Return the path with each value quoted as one segment. Raises Unfit for a value that is null."""
    return _replaced(template, values, _segment)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _segment(value: Any) -> str:
    return ",".join(map(path_segment, value)) if isinstance(value, list) else path_segment(value)


def _replaced(template: str, values: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in values:  # braces that are no placeholder, as in GraphQL
            return match[0]
        if values[match[1]] is None:
            raise Unfit(f"a value of {match[1]} for {template}", "null")
        return write(values[match[1]])

    return _PLACEHOLDER.sub(value, template)
