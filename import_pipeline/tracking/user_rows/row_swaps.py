"""Unique values that rows of one import exchange: swapped, or passed along a chain.

No order of single writes can swap two values of a unique column. So such rows are written in one transaction, which
first replaces the values: by NULL, or by a unique text if NULL is not allowed.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Column, Connection, String, inspect, select, update

from import_pipeline.contracts import Importable
from import_pipeline.tracking.user_rows.model_columns import table_of
from import_pipeline.tracking.user_rows.row_ids import item_id
from import_pipeline.tracking.user_rows.row_values import values_of
from import_pipeline.tracking.user_rows.tenant_rows import identity_of, of_same_tenant
from import_pipeline.tracking.user_rows.user_tables import unique_columns

#: Least length of a column that can hold a unique text.
_LEAST_LENGTH = 16


def exchanging_groups(
    connection: Connection, model: type[Any], importables: Sequence[Importable]
) -> list[list[Importable]]:
    """Return the groups of rows that only block each other; each group is to be written together."""
    by_id = {item_id(model, each.external_id): each for each in importables}
    holders = {external_id: _holders(connection, model, each) for external_id, each in by_id.items()}
    groups, grouped = [], set[str]()
    for external_id in by_id:
        group = _reachable(external_id, holders)
        if len(group) > 1 and group <= set(by_id) and not group & grouped:
            grouped |= group
            groups.append([by_id[each] for each in by_id if each in group])
    return groups


def _reachable(external_id: str, holders: dict[str, set[str]]) -> set[str]:
    found, open_ones = set[str](), [external_id]
    while open_ones:
        each = open_ones.pop()
        if each not in found:
            found.add(each)
            open_ones += holders.get(each, ())
    return found


def _holders(connection: Connection, model: type[Any], importable: Importable) -> set[str]:
    """Return the ids of the rows that hold a unique value that this row needs."""
    table, values = table_of(model), values_of(importable, connection.dialect)
    found = set[str]()
    for names in _unique_groups(connection, model):
        if all(values.get(name) is not None for name in names):
            same = [table.c[name] == values[name] for name in names]
            mine = of_same_tenant(model, [importable])
            others = select(table.c.external_id).where(*same, table.c.external_id != values["external_id"], *mine)
            found |= {item_id(model, other) for other in connection.scalars(others)}
    return found


def release_unique_values(connection: Connection, model: type[Any], importables: Sequence[Importable]) -> None:
    """Replace the unique values of these rows, so that other rows can have them."""
    table = table_of(model)
    for importable in importables:
        values = values_of(importable, connection.dialect)
        substitutes = {
            column.name: _substitute(column, values["external_id"])
            for column in _replaceable(connection, model, values)
        }
        if substitutes:
            own = (table.c.external_id == values["external_id"], *of_same_tenant(model, [importable]))
            connection.execute(update(table).where(*own).values(substitutes))


def _unique_groups(connection: Connection, model: type[Any]) -> list[list[str]]:
    """Return the columns of each unique constraint or index except external_id and the primary key."""
    table = table_of(model)
    key = {column.name for column in table.primary_key.columns}
    return [
        names
        for names in unique_columns(inspect(connection), table)
        if set(names) != set(identity_of(model)) and set(names) != key and all(name in table.c for name in names)
    ]


def _replaceable(connection: Connection, model: type[Any], values: dict[str, Any]) -> list[Column[Any]]:
    """Return one column of each unique group that is written anyway and can be replaced."""
    found = []
    for names in _unique_groups(connection, model):
        identity = identity_of(model)
        columns = [table_of(model).c[name] for name in names if name in values and name not in identity]
        columns.sort(key=lambda column: not column.nullable)
        if columns and _can_be_replaced(columns[0]):
            found.append(columns[0])
    return found


def _can_be_replaced(column: Column[Any]) -> bool:
    type_ = column.type
    return bool(column.nullable) or (isinstance(type_, String) and (type_.length or _LEAST_LENGTH) >= _LEAST_LENGTH)


def _substitute(column: Column[Any], key: Any) -> str | None:
    if column.nullable:
        return None
    length = getattr(column.type, "length", None) or 64
    return f"~{sha256(str(key).encode()).hexdigest()}"[:length]
