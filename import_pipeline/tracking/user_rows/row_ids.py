"""Item ids as the `external_id` column of the user's table holds them, equal on both databases.

Tracking stores ids as text. The column may be text, a number or a UUID, and cannot hold every text.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Dialect, Integer, Numeric, SmallInteger, String, Table, Uuid
from sqlalchemy.types import TypeEngine

from import_pipeline.tracking.user_rows.model_columns import table_of

#: A whole number in the only spelling that reads back as itself.
_NUMBER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


def item_id(model: type[Any], value: object) -> str:
    """Return the id as tracking stores it; a UUID in its canonical spelling."""
    text = str(value)
    if _is_uuid(table_of(model)):
        try:
            return str(_uuid(text))
        except ValueError:
            return text
    return text


@lru_cache(maxsize=256)
def _is_uuid(table: Table) -> bool:
    return isinstance(table.c.external_id.type, Uuid)


@lru_cache(maxsize=256)
def _type_of_key(table: Table, dialect: Dialect) -> TypeEngine[Any]:
    return table.c.external_id.type.dialect_impl(dialect)


def key_of(model: type[Any], dialect: Dialect, external_id: str) -> Any:
    """Return the id as the column stores it. Raises ValueError if its type cannot hold it."""
    try:
        return _key(_type_of_key(table_of(model), dialect), dialect, external_id)
    except ValueError as error:
        shown = repr(external_id if len(external_id) <= 60 else f"{external_id[:60]}…")
        raise ValueError(f"the column external_id cannot hold {shown}: {error}") from error


def same_key(type_: TypeEngine[Any], stored: object, given: object) -> bool:
    """Return True if a stored primary key is the one that the source sets, which may have another type or spelling."""
    if stored == given or str(stored) == str(given):
        return True
    try:
        if isinstance(type_, Uuid):
            return UUID(str(stored)) == UUID(str(given))
        if isinstance(type_, Integer | Numeric):
            return Decimal(str(stored)) == Decimal(str(given))
        if isinstance(stored, datetime) and isinstance(given, datetime):
            return stored.replace(tzinfo=stored.tzinfo or UTC) == given.replace(tzinfo=given.tzinfo or UTC)
    except (ValueError, InvalidOperation):
        return False
    return False


def _key(type_: TypeEngine[Any], dialect: Dialect, text: str) -> Any:
    if isinstance(type_, Uuid):
        return _uuid(text) if type_.as_uuid else str(_uuid(text))
    if isinstance(type_, Integer):
        return _number(type_, dialect, text)
    if isinstance(type_, String) and type_.length is not None and len(text) > type_.length:
        raise ValueError(f"it is longer than {type_.length} characters")
    return text


def _uuid(text: str) -> UUID:
    """Return the UUID; only its two standard spellings are accepted."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or text.lower() not in {str(found), found.hex}:
        raise ValueError("it is not a UUID")
    return found


def _number(type_: Integer, dialect: Dialect, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("it is not a whole number in its usual spelling, and two ids could become one")
    bits = 64
    if dialect.name != "sqlite" and not isinstance(type_, BigInteger):
        bits = 16 if isinstance(type_, SmallInteger) else 32
    number, end = int(text), 1 << (bits - 1)
    if not -end <= number < end:
        raise ValueError(f"it is beyond the {bits} bits of its type")
    return number


def keys_of(model: type[Any], dialect: Dialect, external_ids: Iterable[str]) -> list[Any]:
    """Return the ids as the column stores them, without those that it cannot hold: no row has them."""
    keys = []
    for external_id in external_ids:
        try:
            keys.append(key_of(model, dialect, external_id))
        except ValueError:
            continue
    return keys
