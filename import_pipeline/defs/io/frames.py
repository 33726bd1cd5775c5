"""Frames and tables of other libraries, from rows. Each library is imported by the parameter that names it.

Whole numbers, texts and times get the column's type, whatever values a batch has, and null stays null.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Float, Integer, LargeBinary, Numeric
from sqlalchemy.types import TypeDecorator, TypeEngine

#: Digits of a Numeric column without a precision, and those after the point.
DIGITS, PLACES = 38, 12
#: (types of SQLAlchemy, kind of a frame's column). Anything else is a text.
_KINDS: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (Boolean, "boolean"),
    (Integer, "integer"),
    (Float, "float"),
    (Numeric, "decimal"),
    (DateTime, "time"),
    (Date, "date"),
    (LargeBinary, "binary"),
    (JSON, "json"),
)
Batches = Iterable[Sequence[Sequence[Any]]]


def kind_of(column: Column[Any]) -> str:
    """Return the kind of a column in a frame."""
    type_ = _plain(column)
    if isinstance(type_, Numeric) and not type_.asdecimal:
        return "float"
    return next((kind for classes, kind in _KINDS if isinstance(type_, classes)), "text")


def pandas_frame(columns: Sequence[Column[Any]], batches: Batches) -> Any:
    """Return a pandas.DataFrame. Whole numbers and booleans are nullable, JSON stays Python's."""
    import pandas

    types = {"boolean": "boolean", "integer": "Int64", "float": "Float64"}
    values = _columns(columns, batches, as_json=False)
    frame = {}
    for column, found in zip(columns, values, strict=True):
        kind = kind_of(column)
        if kind == "time":
            type_ = "datetime64[us, UTC]" if _has_zone(column) else "datetime64[us]"
            frame[column.name] = pandas.Series(pandas.DatetimeIndex(found, dtype=type_))
        else:
            frame[column.name] = pandas.Series(found, dtype=types.get(kind, "object"))
    return pandas.DataFrame(frame)


def polars_frame(columns: Sequence[Column[Any]], batches: Batches) -> Any:
    """Return a polars.DataFrame. JSON is a text."""
    import polars

    types = {
        "boolean": polars.Boolean,
        "integer": polars.Int64,
        "float": polars.Float64,
        "date": polars.Date,
        "binary": polars.Binary,
    }

    def type_of(column: Column[Any]) -> Any:
        kind = kind_of(column)
        if kind == "decimal":
            return polars.Decimal(*_digits(column))
        if kind == "time":
            return polars.Datetime("us", "UTC" if _has_zone(column) else None)
        return types.get(kind, polars.String)

    values = _columns(columns, batches)
    return polars.DataFrame(
        {column.name: found for column, found in zip(columns, values, strict=True)},
        schema={column.name: type_of(column) for column in columns},
    )


def arrow_reader(columns: Sequence[Column[Any]], batches: Batches) -> Any:
    """Return a pyarrow.RecordBatchReader, which reads batch by batch. JSON is a text."""
    import pyarrow

    schema = pyarrow.schema([(column.name, _arrow_type(pyarrow, column)) for column in columns])

    def read() -> Iterator[Any]:
        for batch in batches:
            values = _columns(columns, [batch])
            arrays = [pyarrow.array(found, each.type) for found, each in zip(values, schema, strict=True)]
            yield pyarrow.RecordBatch.from_arrays(arrays, schema=schema)

    return pyarrow.RecordBatchReader.from_batches(schema, read())


def arrow_table(columns: Sequence[Column[Any]], batches: Batches) -> Any:
    """Return a pyarrow.Table."""
    return arrow_reader(columns, batches).read_all()


def _arrow_type(pyarrow: Any, column: Column[Any]) -> Any:
    kind = kind_of(column)
    if kind == "decimal":
        return pyarrow.decimal128(*_digits(column))
    if kind == "time":
        return pyarrow.timestamp("us", tz="UTC" if _has_zone(column) else None)
    names = {"boolean": "bool_", "integer": "int64", "float": "float64", "date": "date32", "binary": "binary"}
    return getattr(pyarrow, names.get(kind, "string"))()


def _digits(column: Column[Any]) -> tuple[int, int]:
    """Return the digits of a decimal column, and those after the point."""
    precision, scale = getattr(column.type, "precision", None), getattr(column.type, "scale", None)
    return (precision, scale or 0) if precision else (DIGITS, PLACES)


def _has_zone(column: Column[Any]) -> bool:
    return bool(getattr(_plain(column), "timezone", False))


def _plain(column: Column[Any]) -> Any:
    """Return the type of SQLAlchemy that a column has, also under the user's own type."""
    return column.type.impl if isinstance(column.type, TypeDecorator) else column.type


def _columns(columns: Sequence[Column[Any]], batches: Batches, *, as_json: bool = True) -> list[list[Any]]:
    """Return the values of each column, as a frame takes them."""
    found: list[list[Any]] = [[] for _ in columns]
    for batch in batches:
        for row in batch:
            for values, value in zip(found, row, strict=True):
                values.append(value)
    for place, column in enumerate(columns):
        kind = kind_of(column)
        if kind == "json" and as_json:
            found[place] = [None if each is None else json.dumps(each, ensure_ascii=False) for each in found[place]]
        elif kind == "text":
            found[place] = [None if each is None else str(each) for each in found[place]]
    return found
