"""What a user's class maps: its table, and the columns that an import writes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import JSON, Column, Float, Integer, LargeBinary, Numeric, String, Table
from sqlalchemy import Enum as EnumType
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

#: How many ids go into one IN (…).
CHUNK = 500


def chunks(values: Sequence[Any], size: int = CHUNK) -> Iterable[Sequence[Any]]:
    """The values in pieces of at most that size."""
    return (values[start : start + size] for start in range(0, len(values), size))


def table_of(model: type[Any]) -> Table:
    """The mapped table."""
    return cast("Table", model.__table__)


@dataclass(frozen=True, kw_only=True)
class MappedColumn:
    """An attribute of the user's class and the column that keeps it."""

    attribute: str
    column: Column[Any]
    is_key: bool  #: part of the primary key
    is_given: bool  #: the database numbers it by itself, unless the source sets it
    is_fragile: bool  #: what is written need not be what can be read: dates, enumerations, types of the user's own

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name


@cache
def columns_of(mapper: Mapper[Any]) -> tuple[MappedColumn, ...]:
    """All that is written of a row of that class."""
    found = []
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        if not isinstance(column, Column) or column.computed is not None:
            continue
        is_given = column is column.table._autoincrement_column or column.identity is not None
        found.append(
            MappedColumn(
                attribute=attribute.key,
                column=column,
                is_key=column.primary_key,
                is_given=column.primary_key and is_given and column.name != "external_id",
                is_fragile=_is_fragile(column.type),
            )
        )
    return tuple(found)


def _is_fragile(type_: TypeEngine[Any]) -> bool:
    plain = isinstance(type_, String | Integer | Float | Numeric | LargeBinary | JSON) and not isinstance(
        type_, EnumType
    )
    return not plain
