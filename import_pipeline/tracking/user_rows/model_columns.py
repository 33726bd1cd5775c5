"""The mapping of a user's class: its table, and the columns that an import writes."""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import JSON, Column, Float, Integer, LargeBinary, Numeric, String, Table
from sqlalchemy import Enum as EnumType
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine


def table_of(model: type[Any]) -> Table:
    """Return the mapped table."""
    return cast("Table", model.__table__)


def mapper_of(model: type[Any]) -> Mapper[Any]:
    """Return the mapper of a mapped class; `sqlalchemy.inspect`, which finds it too, costs much for each row."""
    return cast("Mapper[Any]", model.__mapper__)


@dataclass(frozen=True, kw_only=True)
class MappedColumn:
    """An attribute of the user's class, and its column."""

    attribute: str
    column: Column[Any]
    is_key: bool  #: part of the primary key
    is_generated: bool  #: the database generates it, unless the source sets it
    is_fragile: bool  #: a written value may be unreadable: dates, enumerations, types of the user's own

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name


@cache
def columns_of(mapper: Mapper[Any]) -> tuple[MappedColumn, ...]:
    """Return the columns that an import writes."""
    found = []
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        if not isinstance(column, Column) or column.computed is not None:
            continue
        is_generated = column is column.table._autoincrement_column or column.identity is not None
        found.append(
            MappedColumn(
                attribute=attribute.key,
                column=column,
                is_key=column.primary_key,
                is_generated=column.primary_key and is_generated and column.name != "external_id",
                is_fragile=_is_fragile(column.type),
            )
        )
    return tuple(found)


def _is_fragile(type_: TypeEngine[Any]) -> bool:
    plain = isinstance(type_, String | Integer | Float | Numeric | LargeBinary | JSON) and not isinstance(
        type_, EnumType
    )
    return not plain
