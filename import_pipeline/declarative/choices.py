"""Words that choose one of several kinds: `{type: cursor, next: paging.next}`. Each kind is a dataclass."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from import_pipeline.declarative.unfit import Unfit, UnknownKey, nearest, resembled, shown, unknown_key

T = TypeVar("T")

#: The pattern of a text that Dagster replaces.
_TEMPLATE = r".*\{\{.*\}\}.*"


def read_choice(declared: object, kinds: Mapping[str, type[T]], example: str) -> T:
    """Return the object that the words choose and fill in. Raises Unfit."""
    words: dict[str, Any] = {"type": declared} if isinstance(declared, str) else {}
    if isinstance(declared, Mapping):
        words = dict(declared)
    kind = words.pop("type", None)
    if kind is None and (typo := next((each for each in words if resembled(str(each), ["type"])), None)) is not None:
        raise UnknownKey(str(typo), unknown_key(str(typo), ["type"], takes=f"it is one of {', '.join(kinds)}"))
    if not isinstance(kind, str) or kind not in kinds:
        got = shown(declared) if kind is None or isinstance(declared, str) else f"type {shown(kind)}"
        raise Unfit(f"one of {', '.join(kinds)}, as {example}", got, question=nearest(kind, kinds))
    taken = {field.name: field for field in dataclasses.fields(kinds[kind])}  # type: ignore[arg-type]
    for key, value in words.items():
        if key not in taken:
            takes = f"{kind} takes {', '.join(taken) or 'none'}"
            raise UnknownKey(str(key), unknown_key(str(key), ["type", *taken], takes=takes))
        if not _fits(taken[key].type, value):
            question = _nearest_option(taken[key].type, value)
            raise Unfit(_kind_of(taken[key].type), shown(value), key, question=question)
    for name, field in taken.items():
        has_none = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if has_none and name not in words:
            raise Unfit(f"{_kind_of(field.type)}, which {kind} needs", "nothing", name)
    return kinds[kind](**words)


def choice_schema(kinds: Mapping[str, type[Any]], description: str) -> dict[str, Any]:
    """Return the JSON schema of the words."""
    short = [kind for kind, each in kinds.items() if not _required(each)]
    # Conditions instead of alternatives: a mistake is then named, not only that no alternative fits.
    return {
        "type": ["string", "object"],
        "description": description,
        "pattern": f"^({'|'.join([*short, _TEMPLATE])})$",
        "properties": {"type": {"enum": list(kinds)}},
        "required": ["type"],
        "allOf": [_schema_of(kind, each) for kind, each in kinds.items()],
    }


def _schema_of(kind: str, each: type[Any]) -> dict[str, Any]:
    schema = TypeAdapter(each).json_schema()
    words = {
        "title": each.__name__,
        "description": " ".join((each.__doc__ or "").split()),
        "properties": {"type": {"const": kind}, **schema.get("properties", {})},
        "required": ["type", *schema.get("required", [])],
        "additionalProperties": False,
    }
    chosen = {"type": "object", "properties": {"type": {"const": kind}}, "required": ["type"]}
    return {"if": chosen, "then": words}


def _required(kind: type[Any]) -> bool:
    return any(field.default is dataclasses.MISSING for field in dataclasses.fields(kind))


def _options(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, else the type alone."""
    is_union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    return typing.get_args(annotation) if is_union else (annotation,)


def _fits(annotation: Any, value: object) -> bool:
    for option in _options(annotation):
        if typing.get_origin(option) is typing.Literal:
            if value in typing.get_args(option):
                return True
        elif option is str:
            if isinstance(value, str) and value:
                return True
        elif isinstance(option, type) and isinstance(value, option) and not isinstance(value, bool):
            return True
    return False


def _kind_of(annotation: Any) -> str:
    option = _options(annotation)[0]
    if typing.get_origin(option) is typing.Literal:
        return " or ".join(map(str, typing.get_args(option)))
    return {int: "a whole number", dict: "a mapping"}.get(option, "a text")


def _nearest_option(annotation: Any, given: object) -> str:
    words = [each for option in _options(annotation) for each in typing.get_args(option)]
    return nearest(given, [each for each in words if isinstance(each, str)])
