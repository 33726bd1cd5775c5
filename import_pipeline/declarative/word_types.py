"""The types of words, and the base of their groups.

A text may stand for a group of words: `list: /orders` means `list: {path: /orders}`.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from import_pipeline.declarative.access import ACCESS, read_access
from import_pipeline.declarative.choices import choice_schema
from import_pipeline.declarative.paging import PAGINATORS, read_pages
from import_pipeline.declarative.unfit import Unfit, shown
from import_pipeline.declarative.values import TYPES, column_type

#: Values that Dagster's templates replace are read after that.
TEMPLATE = "{{"
_SPAN = re.compile(r"(\d{1,6}(?:\.\d+)?) ?(second|minute|hour|day|week)s?")


def _as_text(value: object) -> object:
    """Return a date or number as the text that it was in a YAML file: YAML reads unquoted dates as dates."""
    if isinstance(value, datetime):
        zoned = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return zoned.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _parameter(value: object) -> object:
    """Return a query parameter: a text, a number, true, false, or a list of these."""
    if isinstance(value, list | tuple):
        return [_parameter(each) for each in value]
    value = value.isoformat() if isinstance(value, date) else value
    if value is not None and not isinstance(value, str | int | float | bool):
        raise Unfit("a text, a number, true, false, or a list of these", shown(value))
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _span(value: object) -> object:
    """Return a text such as `5 minutes` as a timedelta."""
    if isinstance(value, timedelta):
        return value
    match = _SPAN.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None:
        raise Unfit("a span such as 5 minutes or 7 days", shown(value))
    return timedelta(**{f"{match[2]}s": float(match[1])})


def _checked(read: Callable[[Any], object]) -> BeforeValidator:
    """Return a validator that keeps the words, after `read` has accepted them."""

    def check(words: Any) -> Any:
        if not (isinstance(words, str) and TEMPLATE in words):
            read(words)
        return words

    return BeforeValidator(check)


Textual = Annotated[str, BeforeValidator(_as_text)]
Parameter = Annotated[
    Any,
    BeforeValidator(_parameter),
    WithJsonSchema({"type": ["string", "number", "boolean", "null", "array"]}),
]
ColumnType = Annotated[
    Any,
    _checked(column_type),
    WithJsonSchema({"type": "string", "description": f"One of {', '.join(TYPES)}, numeric(12, 2), string(100)."}),
]
Pages = Annotated[
    Any,
    _checked(read_pages),
    WithJsonSchema(choice_schema(PAGINATORS, "The way in which the list names its next page.")),
]
Auth = Annotated[
    Any,
    _checked(read_access),
    WithJsonSchema(choice_schema(ACCESS, "Credentials, by the names of environment variables.")),
]
Span = Annotated[timedelta, BeforeValidator(_span), WithJsonSchema({"type": "string"})]
Lookback = Annotated[
    Any,
    BeforeValidator(lambda value: value if _is_number(value) else _span(value)),
    WithJsonSchema({"type": ["string", "number"]}),
]
Prefix = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Method = Literal["GET", "POST", "PUT", "QUERY"]


class Words(BaseModel):
    """A group of words. Unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    short: ClassVar[str | None] = None  #: the word that a text alone stands for

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, words: Any) -> Any:
        return {cls.short: words} if cls.short and isinstance(words, str) else words

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "string"}, found]} if cls.short else found
