"""Types of declared columns, and the reading of JSON values into them."""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Numeric,
    String,
    Text,
    Uuid,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from import_pipeline.contracts.column_types import UtcDateTime
from import_pipeline.contracts.page_requests import found_at
from import_pipeline.declarative.unfit import Unfit, nearest, shown

#: The path of a whole item, and that of the key of its slice.
WHOLE = "."
SLICE = "{slice}"
#: Whole numbers that every database holds.
LARGEST = 2**63 - 1
#: Numbers from here on are milliseconds since 1970, not seconds: as seconds they lie after the year 5100.
MILLISECONDS = 10**11

#: word -> its column type. `numeric(12, 2)` and `string(100)` have parameters.
TYPES: Mapping[str, Callable[..., TypeEngine[Any]]] = {
    "text": Text,
    "string": String,
    "integer": BigInteger,
    "numeric": Numeric,
    "float": Double,
    "boolean": Boolean,
    "date": Date,
    "datetime": UtcDateTime,
    "json": lambda: JSON(none_as_null=True),
    "uuid": Uuid,
}
_EXPECTED = f"one of {', '.join(TYPES)}, or with parameters numeric(12, 2) or string(100)"
_WORD = re.compile(r"(\w+)(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")


class ExactNumber(float):
    """A JSON number with more digits than a float keeps; as a text it has all of them."""

    text: str

    def __str__(self) -> str:
        return self.text


def json_number(text: str) -> float:
    """Return a JSON number that has a point or an exponent.

    Some servers write floats with 17 digits: 19.989999999999998 is 19.99.
    """
    number = float(text)
    try:
        if not math.isfinite(number) or Decimal(text) in {Decimal(repr(number)), Decimal(f"{number:.17g}")}:
            return number
    except InvalidOperation:  # an exponent beyond those of decimals
        return number
    exact = ExactNumber(number)
    exact.text = text
    return exact


def column_type(declared: object) -> TypeEngine[Any]:
    """Return the column type of a word, or of a type of SQLAlchemy. Raises Unfit."""
    if isinstance(declared, type) and issubclass(declared, TypeEngine):
        declared = declared()
    if isinstance(declared, TypeEngine):
        return _checked(declared)
    match = _WORD.fullmatch(declared.strip().lower()) if isinstance(declared, str) else None
    if match is None or match[1] not in TYPES:
        raise Unfit(_EXPECTED, shown(declared), question=nearest(declared if match is None else match[1], TYPES))
    parameters = [int(each) for each in match.groups()[1:] if each]
    if len(parameters) > {"numeric": 2, "string": 1}.get(match[1], 0):
        raise Unfit(_EXPECTED, shown(declared))
    return TYPES[match[1]](*parameters)


def _checked(declared: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type if a JSON value can be read into it; a DateTime becomes one that keeps its zone."""
    if type(declared) is DateTime:
        return UtcDateTime()
    reader_of(declared)
    return declared


def reader_of(type_: TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return the function that reads a JSON value into that type. It raises Unfit. Raises Unfit for other types."""
    plain = type_.impl if isinstance(type_, TypeDecorator) else type_
    if isinstance(plain, Enum) and plain.enum_class is not None:
        raise Unfit("a type that JSON values can be read into: of texts, an Enum of words", shown(type_))
    for kinds, reader in _READERS:
        if isinstance(plain, kinds):
            return reader
    raise Unfit(f"a column type for JSON values: {_EXPECTED}", shown(type_))


def value_at(item: Any, path: str) -> Any:
    """Return the value at a path of names and positions, such as `lines.0.sku`; `.` is the whole item."""
    return item if path == WHOLE else found_at(item, path)


def near_path(body: Any, path: str, *, is_list: bool = False) -> str:
    """Return the question for a path that the document has in place of the given one, if one is similar.

    `is_list`: else for the one field with a list, in the deepest object on the way.
    """
    if is_list and isinstance(body, list):
        return f" (did you mean {WHOLE}, the whole answer?)"
    names = [] if path == WHOLE else path.split(".")
    for position, name in enumerate([*names, ""]):
        if not isinstance(body, Mapping):
            return ""
        if name not in body:
            lists = [str(key) for key, each in body.items() if is_list and isinstance(each, list)]
            similar = get_close_matches(name, [str(key) for key in body], 1)
            found = similar or (lists if len(lists) == 1 else [])
            return f" (did you mean {'.'.join([*names[:position], found[0]])}?)" if found else ""
        body = body[name]
    return ""


def outline(value: object) -> str:
    """Return the kind of a JSON value, and the keys of an object."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(list(map(str, value))[:10])}" if value else "an empty object"
    return "a list" if isinstance(value, list) else shown(value)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | ExactNumber) else json.dumps(value, ensure_ascii=False)


def _integer(value: Any) -> int:
    try:
        number = _decimal(value)
        whole = int(number)
    except (Unfit, OverflowError):
        raise Unfit("a whole number", shown(value)) from None
    if whole != number or abs(whole) > LARGEST:
        raise Unfit("a whole number of at most 63 bits", shown(value))
    return whole


def _decimal(value: Any) -> Decimal:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and number.adjusted() < 1000:
            return number
    raise Unfit("a number", shown(value))


def _float(value: Any) -> float:
    number = float(_decimal(value))
    if not math.isfinite(number):
        raise Unfit("a number that a float holds", shown(value))
    return number


def _boolean(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if word not in words:
        raise Unfit("true or false", shown(value))
    return words[word]


def _datetime(value: Any) -> datetime:
    """Read a time of ISO 8601 or RFC 2822, or seconds or milliseconds since 1970; without a zone it is in UTC."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS else value, UTC)
        text = str(value).strip()
        moment = parsedate_to_datetime(text) if text[:1].isalpha() else datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise Unfit("a time such as 2030-01-31T12:00:00Z, or seconds since 1970", shown(value)) from None


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(str(value).strip()[:10])
    except ValueError:
        raise Unfit("a date such as 2030-01-31", shown(value)) from None


def _uuid(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise Unfit("a UUID", shown(value)) from None


def _json(value: Any) -> Any:
    return value


#: An Enum of plain words is a String, too; a JSON column takes any value.
_READERS: tuple[tuple[tuple[type[TypeEngine[Any]], ...], Callable[[Any], Any]], ...] = (
    ((JSON,), _json),
    ((String,), _text),
    ((Integer,), _integer),
    ((Float,), _float),
    ((Numeric,), _decimal),
    ((Boolean,), _boolean),
    ((DateTime,), _datetime),
    ((Date,), _date),
    ((Uuid,), _uuid),
)


def read_value(type_: TypeEngine[Any], value: Any) -> Any:
    """Return a JSON value as a column of that type holds it. An empty text is null, except in a text. Raises Unfit."""
    reader = reader_of(type_)
    if value is None or (isinstance(value, str) and not value.strip() and reader not in {_text, _json}):
        return None
    return reader(value)
