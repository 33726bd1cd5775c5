"""The tables that belong to a user's class, and those that they refer to."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Table
from sqlalchemy import inspect as mapping_of

from import_pipeline.contracts.relations import related_tables
from import_pipeline.tracking.user_rows.model_columns import table_of


def needed_tables(table: Table, known: frozenset[Table] = frozenset()) -> Iterator[Table]:
    """Yield the table and, through its foreign keys, all tables that it requires."""
    yield table
    for key in table.foreign_keys:
        if key.column.table not in known | {table}:
            yield from needed_tables(key.column.table, known | {table})


def own_tables(models: Iterable[type[Any]]) -> list[Table]:
    """Return the tables that imports of these classes write: theirs, and those of their related rows and links."""
    found: dict[Table, None] = {}
    for model in models:
        found[table_of(model)] = None
        open_ones = [mapping_of(model)]
        while open_ones:
            for table, mapper in related_tables(open_ones.pop()):
                if table not in found:
                    found[table] = None
                    open_ones += [mapper] if mapper is not None else []
    return list(found)
