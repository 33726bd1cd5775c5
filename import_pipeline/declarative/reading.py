"""Read a declaration. A mistake becomes a sentence that names the key, the expectation and the value."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.words import Declaration
from import_pipeline.errors import ContractError
from import_pipeline.rules.partitions import Partitions

#: pydantic's type of an error -> the expectation in words.
_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a mapping of words",
}


def read_declaration(words: Mapping[str, Any]) -> Declaration:
    """Return the declaration that the words make. Raises ContractError for the first mistake."""
    name = words.get("name")
    label = name if isinstance(name, str) and name else "RestSource"
    try:
        return Declaration.model_validate({key: _plain(key, value) for key, value in words.items()})
    except ValidationError as error:
        raise _sentence(label, error) from None


def _plain(key: str, value: object) -> object:
    """Return Python's forms of words as the words: `Column(...)`, `per_item`, one owner."""
    if key == "columns" and isinstance(value, Mapping):
        return {name: _plain("column", each) for name, each in value.items()}
    if key == "column" and is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Partitions):
        return value.size or "per_item"
    return value


def _sentence(label: str, error: ValidationError) -> ContractError:
    """Return the first mistake as a sentence; an unknown key comes first, since it explains a missing one."""
    found = error.errors(include_url=False)
    first = min(found, key=lambda each: each["type"] != "extra_forbidden")
    path = [str(part) for part in first["loc"] if _is_key(part)]
    if first["type"] == "extra_forbidden":
        return _unknown_key(label, path)
    expected, got = _EXPECTED.get(first["type"], first["msg"]), shown(first["input"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Unfit):
        expected, got = cause.expected, cause.got
        path += [cause.key] if cause.key else []
    elif first["type"] == "missing":
        expected, got = _purpose(_model_at(path[:-1]), path[-1]), "nothing"
    elif path == ["partitions"]:
        expected = "per_item, or a whole number from 1"
    elif first["type"] == "literal_error":
        expected = f"one of {first['ctx']['expected']}"
    return ContractError(label, ".".join(path), expected, got)


def _is_key(part: object) -> bool:
    """Return True for a key, False for pydantic's name of a member of a union."""
    members = ("literal[", "tuple[", "dict[")
    return not (isinstance(part, str) and (part in {"str", "int"} or part.startswith(members)))


def _unknown_key(label: str, path: Sequence[str]) -> ContractError:
    known = list(_model_at(path[:-1]).model_fields)
    near = get_close_matches(path[-1], known, 2)
    expected = f"a key such as {' or '.join(near)}" if near else f"one of the keys {', '.join(known)}"
    return ContractError(label, ".".join(path), expected, "an unknown one")


def _model_at(path: Sequence[str]) -> type[BaseModel]:
    """Return the model of the group of words at that path."""
    model: type[BaseModel] = Declaration
    for part in path:
        field = model.model_fields.get(part)
        for each in [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []:
            if isinstance(each, type) and issubclass(each, BaseModel):
                model = each
    return model


def _purpose(model: type[BaseModel], key: str) -> str:
    text = model.model_fields[key].description or "a value"
    return (text[:1].lower() + text[1:]).rstrip(".")
