"""The tables that belong to a user's class, and those that they refer to."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Table
from sqlalchemy import inspect as mapping_of

from import_pipeline.tracking.user_rows.model_columns import table_of


def needed_tables(table: Table, known: frozenset[Table] = frozenset()) -> Iterator[Table]:
    """Yield the table and, through its foreign keys, all tables that it requires."""
    yield table
    for key in table.foreign_keys:
        if key.column.table not in known | {table}:
            yield from needed_tables(key.column.table, known | {table})


def own_tables(models: Iterable[type[Any]]) -> list[Table]:
    """Return the tables that imports of these classes write: theirs, and those of their relationships' collections."""
    found: dict[Table, None] = {}
    for model in models:
        open_ones = [mapping_of(model)]
        while open_ones:
            mapper = open_ones.pop()
            table = table_of(mapper.class_)
            if table in found:
                continue
            found[table] = None
            # A collection holds child rows; a single object is a row that this one refers to.
            open_ones += [each.mapper for each in mapper.relationships if each.uselist and not each.viewonly]
    return list(found)
