"""Read a declaration. A mistake becomes a sentence that names the key, the expectation and the value."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from import_pipeline.declarative.unfit import Unfit, nearest, resembled, shown, unknown_key
from import_pipeline.declarative.word_types import Words
from import_pipeline.declarative.words import Declaration, OptionWords
from import_pipeline.errors import ContractError
from import_pipeline.redaction import HIDDEN, is_sensitive_name
from import_pipeline.rules.partitions import Partitions

#: The label of a source in Python that has no name.
NAMELESS = "RestSource"
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
}
#: Keys that take several forms -> the expectation in words.
_FORMS = {
    "partitions": "per_item, or a whole number from 1",
    "slices": "a list of keys, or windows of time such as {start: 2024-01-01, every: month}",
    "limits": "a text such as 500/20 second; 2000/100 second, or a mapping of paths and such texts",
    "answers": "a list of rows, each a mapping with action",
    "status": "a whole number such as 403, or a list of them",
}
#: Words of Python classes, of credentials and of the component -> the key to write instead.
_INSTEAD = {
    "path": "list",
    "url": "base_url` and `list",
    "list_request": "list",
    "slice_request": "list` beside `slices",
    "changes_request": "incremental",
    "detail_request": "detail",
    "details_request": "batch",
    "has_next_page": "pages",
    "next_request": "pages",
    "paginator": "pages",
    "primary_key": "id",
    "cursor_field": "incremental.position",
    "model": "table` and `columns",
    "__tablename__": "table",
    "retry": "tries` and `backoff",
    "classify": "answers",
    "connector": "auth`, `headers` and `params",
    **dict.fromkeys(("where", "filter", "filters"), "list.params` or `answers"),
    **dict.fromkeys(("token", "api_key", "secret", "password", "authentication"), "auth"),
}
_OTHER_FORMAT = ": other formats need a source that is written as a class"
#: Members of unions, as pydantic names them in the place of an error.
_MEMBER = re.compile(r"str|int|\w+Words|(?:literal|tuple|dict)\[.*")


def read_declaration(words: Mapping[str, Any]) -> Declaration:
    """Return the declaration that the words make. Raises ContractError for the first mistake."""
    name = words.get("name")
    label = name if isinstance(name, str) and name else NAMELESS
    try:
        return Declaration.model_validate({key: _plain(key, value) for key, value in words.items()})
    except ValidationError as error:
        found = [each for each in error.errors(include_url=False) if not _is_of_other_form(each, words)]
        raise _sentence(label, found) from None


def _plain(key: str, value: object) -> object:
    """Return Python's forms of words as the words: `Column(...)`, `per_item`, one owner."""
    if key == "columns" and isinstance(value, Mapping):
        return {name: _plain("column", each) for name, each in value.items()}
    if key == "column" and is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Partitions):
        return value.size or "per_item"
    return value


def _is_of_other_form(error: Any, words: Mapping[str, Any]) -> bool:
    """Return True for an error of a form of `slices` that was not meant: windows are a mapping, keys a list."""
    if error["loc"][0] != "slices":
        return False
    is_of_windows = error["loc"][1:2] == ("WindowWords",)
    return bool(is_of_windows != isinstance(words["slices"], Mapping))


def _sentence(label: str, found: Sequence[Any]) -> ContractError:
    """Return the first mistake as a sentence; an unknown key comes first, since it explains a missing one."""
    first = min(found, key=lambda each: each["type"] != "extra_forbidden")
    places = list(map(str, first["loc"] if first["type"] != "extra_forbidden" else first["loc"][:-1]))
    own = 2 if places[:1] == ["columns"] else 0  # a column may have any name
    path = [*places[:own], *(part for part in places[own:] if not _MEMBER.fullmatch(part))]
    if first["type"] == "extra_forbidden":
        return _unknown_key(label, path, str(first["loc"][-1]))
    cause, problem = first.get("ctx", {}).get("error"), ""
    if isinstance(cause, Unfit):
        path += [cause.key] if cause.key else []
        expected, got, problem = cause.expected, cause.got, cause.problem
    else:
        expected = _expected(first, path)
        got = "nothing" if first["type"] == "missing" else shown(first["input"])
        if first["type"] == "literal_error":
            near = nearest(first["input"], re.findall(r"'(\w+)'", first["ctx"]["expected"]))
            got += near or _OTHER_FORMAT * (path == ["format"])
    if got != "nothing" and HIDDEN not in got and any(is_sensitive_name(part) for part in path):
        got = HIDDEN
    return ContractError(label, ".".join(path), expected, got, problem=problem)


def _expected(error: Any, path: Sequence[str]) -> str:
    """Return the expectation of pydantic's error in words, with the meaning of the key."""
    kind, ctx = error["type"], error.get("ctx", {})
    form = _FORMS.get(next((part for part in reversed(path) if not part.isdecimal()), ""))
    if kind == "missing":
        return _purpose(path)
    if kind == "literal_error" and form is None:
        return f"one of {ctx['expected']}"
    if kind == "greater_than_equal":
        return f"a number from {ctx['ge']:g}"
    if kind == "model_type":
        return _group_form(_model_at(path))
    if form is not None:
        return form
    purpose = _purpose(path)
    said = _EXPECTED.get(kind, error["msg"])
    return f"{said} ({purpose})" if purpose else said


def _group_form(model: type[BaseModel]) -> str:
    short = getattr(model, "short", None)
    mapping = f"a mapping with {', '.join(model.model_fields)}"
    return f"a {short}, or {mapping}" if short else mapping


def _unknown_key(label: str, path: Sequence[str], key: str) -> ContractError:
    problem = problem_of_key(path, key)
    return ContractError(label, ".".join([*path, key]), "another key", "an unknown one", problem=problem)


def problem_of_key(path: Sequence[str], key: str, further: Sequence[str] = ()) -> str:
    """Return the problem of an unknown key in the group of words at that path; `further`: words of the whole besides.

    Parts of the path that name a member of a union do not matter.
    """
    model = _model_at(path)
    is_whole = model is Declaration
    words = [*model.model_fields, *(further if is_whole else ())]
    if is_whole and key in _INSTEAD:
        return f"unknown key {key}; use `{_INSTEAD[key]}` instead"
    if not is_whole or resembled(key, words) is not None:
        return unknown_key(key, words)
    known = [each for each in words if each not in OptionWords.model_fields]
    return f"{unknown_key(key, known)}, and options such as limits, slots or concurrency"


def _model_at(path: Sequence[str]) -> type[BaseModel]:
    """Return the model of the group of words at that path."""
    model: type[BaseModel] = Declaration
    for part in path:
        field = model.model_fields.get(part)
        for each in _parts_of(field.annotation) if field else ():
            if isinstance(each, type) and issubclass(each, Words):
                model = each
    return model


def _parts_of(annotation: Any) -> list[Any]:
    """Return an annotation and all that it is made of: `tuple[AnswerWords, ...]` has AnswerWords."""
    return [annotation, *(part for each in getattr(annotation, "__args__", ()) for part in _parts_of(each))]


def _purpose(path: Sequence[str]) -> str:
    """Return the meaning of the key, from its description."""
    field = _model_at(path[:-1]).model_fields.get(path[-1]) if path else None
    text = (field.description if field is not None else None) or ""
    return (text[:1].lower() + text[1:]).rstrip(".")
