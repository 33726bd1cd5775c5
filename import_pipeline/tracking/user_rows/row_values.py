"""The values of a user's row as they are written: each can be read back unchanged, or is refused.

NaN becomes NULL on SQLite and breaks every sum on Postgres, SQLite drops the offset of a time, Python cannot read a
year beyond 9999: such a row would be silently wrong, or end every later import.
"""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from sqlalchemy import JSON, BigInteger, ClauseElement, DateTime, Dialect, Float, Integer, Numeric, SmallInteger, Time
from sqlalchemy import Enum as EnumType
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import collection_adapter
from sqlalchemy.types import TypeEngine

from import_pipeline.contracts import Importable
from import_pipeline.contracts.importable import has_tenants
from import_pipeline.contracts.relations import UNREADABLE, obstacle, relations_of
from import_pipeline.tracking.user_rows.model_columns import MappedColumn, columns_of, mapper_of
from import_pipeline.tracking.user_rows.row_ids import item_id, key_of
from import_pipeline.tracking.user_rows.tenant_rows import owner_of

#: Converts a value to the written one; raises ValueError to refuse it.
Check = Callable[[Any], Any]


def values_of(importable: Importable, dialect: Dialect, *, is_stub: bool = False) -> dict[str, Any]:
    """Return the values to write, by column name: only attributes that were set.

    Raises ValueError with the reason if the column cannot keep a value unchanged, or a related row cannot be stored.
    """
    model = type(importable)
    for relation in relations_of(mapper_of(model)):
        if relation.key in filled_relations(importable) and (reason := obstacle(relation)) is not None:
            raise ValueError(f"{model.__name__}.{relation.key} is a relationship that {reason}")
    values = column_values(importable, dialect, is_stub=is_stub)
    if has_tenants(model) and (owner := owner_of(importable)) is not None:
        values["tenant"] = owner.source  # whatever the row's own methods have set
    values["external_id"] = key_of(model, dialect, item_id(model, vars(importable).get("external_id")))
    return values


def filled_relations(row: Any) -> frozenset[str]:
    """Return the set relationships that have rows. Constructors of dataclasses set all others as well, to nothing."""
    written, chosen = vars(row), set_relations(row)
    given = [each for each in relations_of(mapper_of(type(row))) if each.key in chosen]
    return frozenset(each.key for each in given if not _is_empty(each, written))


def _is_empty(relation: RelationshipProperty[Any], written: Mapping[str, Any]) -> bool:
    if relation.lazy in UNREADABLE:
        return False
    value = written[relation.key]
    return value is None or (bool(relation.uselist) and not list(collection_adapter(value)))


def column_values(row: Any, dialect: Dialect, *, is_stub: bool = False) -> dict[str, Any]:
    """Return the values of any mapped object's columns, by column name: only attributes that were set.

    Raises ValueError with the reason if the column cannot keep a value unchanged.
    """
    written = vars(row)
    changed = instance_state(row).committed_state  # attributes set since the row was created or loaded
    values: dict[str, Any] = {}
    for each in columns_of(mapper_of(type(row))):
        if each.attribute not in written:
            continue
        value = written[each.attribute]
        is_changed = each.attribute in changed
        if each.is_generated and (value is None or not (is_changed or _is_never_generated(each, dialect))):
            continue
        if is_stub and value is None and isinstance(each.column.type, JSON):
            continue  # it would be stored as JSON's null, which is a value for COALESCE
        if is_changed and value is not None and not isinstance(value, ClauseElement):
            value = _checked(each, value)
        values[each.name] = value
    return values


def _is_never_generated(each: MappedColumn, dialect: Dialect) -> bool:
    """Return True for a number that only Postgres generates: SQLite does so for a plain INTEGER only."""
    return dialect.name == "sqlite" and isinstance(each.column.type, BigInteger | SmallInteger)


def set_relations(row: Any) -> frozenset[str]:
    """Return the relationships of a mapped object that were set or changed since it was created or loaded."""
    relations = relations_of(mapper_of(type(row)))
    if not relations:
        return frozenset()
    state = instance_state(row)
    return frozenset(
        each.key
        for each in relations
        if each.key in state.committed_state and (each.key in state.dict or each.lazy in UNREADABLE)
    )


def _checked(each: MappedColumn, value: Any) -> Any:
    check = _check_for(each.column.type)
    if check is None:
        return value
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"the column {each.name} cannot keep the value: {error}") from error


@cache
def _check_for(type_: TypeEngine[Any]) -> Check | None:
    """Return the check of a column's type; None for types that need none, and for the user's own types."""
    if isinstance(type_, EnumType):
        return lambda value: _member(value, type_)
    for kind, check in _CHECKS:
        if isinstance(type_, kind):
            return check
    return None


def _member(value: Any, type_: EnumType) -> Any:
    if isinstance(value, str) and not isinstance(value, type_.enum_class or ()) and value not in type_.enums:
        raise ValueError(f"{value!r} is none of {', '.join(type_.enums)}")
    return value


def _moment(value: Any) -> Any:
    """Return a time with an offset in UTC: SQLite, and any column without a time zone, would drop the offset."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value.isoformat()} is outside the years 1 to 9999 in UTC") from None


def _time_of_day(value: Any) -> Any:
    if isinstance(value, time) and value.tzinfo is not None and value.utcoffset():
        raise ValueError(f"{value.isoformat()} has an offset, which would be dropped")
    return value


def _decimal(value: Any) -> Any:
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise ValueError(f"{value} is not a number")
    if isinstance(value, str):
        try:
            is_number = Decimal(value).is_finite()
        except InvalidOperation:
            is_number = False
        if not is_number:
            raise ValueError(f"{value[:60]!r} is not a number")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, float | Decimal) and (not math.isfinite(value) or value != int(value)):
        raise ValueError(f"{value} is not a whole number")
    if isinstance(value, str):
        try:
            int(value)
        except ValueError:
            raise ValueError(f"{value[:60]!r} is not a whole number") from None
    return value


def _document(value: Any) -> Any:
    """Refuse JSON with NaN or Infinity (not in RFC 8259). Other unwritable values fail at the write."""
    with suppress(TypeError, RecursionError):
        try:
            json.dumps(value, allow_nan=False, default=str)
        except ValueError as error:
            raise ValueError(f"it is not valid JSON: {error}") from error
    return value


_CHECKS: tuple[tuple[type[TypeEngine[Any]], Check], ...] = (
    (DateTime, _moment),
    (Time, _time_of_day),
    (Float, _decimal),
    (Numeric, _decimal),
    (Integer, _whole),
    (JSON, _document),
)
