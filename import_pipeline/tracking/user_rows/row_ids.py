"""The ids of items as the `external_id` column of the user's table takes them, on both databases alike.

Tracking keeps ids as text. The column may hold them as text, numbers or UUIDs, and not every text is one of those.
"""

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Dialect, Integer, SmallInteger, String, Uuid
from sqlalchemy.types import TypeEngine

from import_pipeline.tracking.user_rows.model_columns import table_of

#: A whole number in the one spelling that it is read back in.
_NUMBER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


def item_id(model: type[Any], value: object) -> str:
    """The text by which tracking knows the item; a UUID in its usual spelling, since case means nothing in one."""
    text = str(value)
    if isinstance(table_of(model).c.external_id.type, Uuid):
        try:
            return str(_uuid(text))
        except ValueError:
            return text
    return text


def key_of(model: type[Any], dialect: Dialect, external_id: str) -> Any:
    """The id as the column takes it. Raises ValueError for what its type cannot hold."""
    type_ = table_of(model).c.external_id.type.dialect_impl(dialect)
    try:
        return _key(type_, dialect, external_id)
    except ValueError as error:
        shown = repr(external_id if len(external_id) <= 60 else f"{external_id[:60]}…")
        raise ValueError(f"the column external_id cannot hold {shown}: {error}") from error


def _key(type_: TypeEngine[Any], dialect: Dialect, text: str) -> Any:
    if isinstance(type_, Uuid):
        return _uuid(text) if type_.as_uuid else str(_uuid(text))
    if isinstance(type_, Integer):
        return _number(type_, dialect, text)
    if isinstance(type_, String) and type_.length is not None and len(text) > type_.length:
        raise ValueError(f"it is longer than {type_.length} characters")
    return text


def _uuid(text: str) -> UUID:
    """The UUID; only its two public spellings are taken for one."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or text.lower() not in {str(found), found.hex}:
        raise ValueError("it is no UUID")
    return found


def _number(type_: Integer, dialect: Dialect, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("it is no whole number in its usual spelling, and two ids could become one")
    bits = 64
    if dialect.name != "sqlite" and not isinstance(type_, BigInteger):
        bits = 16 if isinstance(type_, SmallInteger) else 32
    number, end = int(text), 1 << (bits - 1)
    if not -end <= number < end:
        raise ValueError(f"it is beyond the {bits} bits of its type")
    return number


def keys_of(model: type[Any], dialect: Dialect, external_ids: Iterable[str]) -> list[Any]:
    """The ids as the column takes them, without those that it cannot hold: no row has them."""
    keys = []
    for external_id in external_ids:
        try:
            keys.append(key_of(model, dialect, external_id))
        except ValueError:
            continue
    return keys
