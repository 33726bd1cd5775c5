"""Relationships of a row class that an import can store: collections and single rows that belong to the row."""

import dis
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from sqlalchemy import Column, Table, UniqueConstraint
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression

from import_pipeline.errors import ContractError

#: Values of `lazy` with which a row holds no related rows.
UNREADABLE = frozenset({"dynamic", "write_only"})


@cache
def relations_of(mapper: Mapper[Any]) -> tuple[RelationshipProperty[Any], ...]:
    """Return the relationships that are written, in the order of their definition."""
    return tuple(each for each in mapper.relationships if not each.viewonly)


@cache
def obstacle(relation: RelationshipProperty[Any]) -> str | None:
    """Return why rows of the relationship cannot be stored with their row, and the remedy; None if they can."""
    if relation.direction is RelationshipDirection.MANYTOONE:
        return "refers to a row that others share: set its foreign key's column, and import that table by a source"
    if relation.lazy in UNREADABLE:
        return f'has lazy="{relation.lazy}", which holds no rows: leave it out'
    mapper, own = relation.mapper, relation.parent.local_table
    if mapper.local_table is own:
        return "has rows of the same table, which are items themselves: set the foreign key's column"
    if len(mapper.tables) > 1 or mapper.inherits is not None:
        return f"has rows of {mapper.class_.__name__}, which shares its table or has several: use a class with a table"
    if _conditions(relation) > len(relation.local_remote_pairs or ()):
        return "has a condition beyond its foreign keys, so that other rows would be replaced too: make it viewonly"
    if relation.secondary is None:
        return _shared_with_another(relation)
    if not any(identities(mapper)):
        name = mapper.class_.__name__
        return f"links to {name}, which has no key that the source sets: give it a unique column, or a primary key"
    return None


def identities(mapper: Mapper[Any]) -> Iterator[tuple[Column[Any], ...]]:
    """Yield the sets of columns that identify a row before it is stored: unique ones, a key that is not generated."""
    table: Any = mapper.local_table
    for constraint in sorted(table.constraints, key=lambda each: [column.name for column in each.columns]):
        if isinstance(constraint, UniqueConstraint):
            yield tuple(constraint.columns)
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        if index.unique and not any(option.get("where") is not None for option in index.dialect_options.values()):
            yield tuple(index.columns)
    if table._autoincrement_column is None:
        yield tuple(table.primary_key.columns)


def related_tables(mapper: Mapper[Any]) -> Iterator[tuple[Table, Mapper[Any] | None]]:
    """Yield the tables that are written with a row: those of its relationships, with their classes, and of links."""
    for relation in relations_of(mapper):
        if obstacle(relation) is None:
            if isinstance(relation.secondary, Table):
                yield relation.secondary, None
            yield relation.mapper.local_table, relation.mapper  # type: ignore[misc]


def check_relations(name: str, model: Any) -> None:
    """Raise ContractError if `populate` sets a relationship that cannot be stored."""
    assigned = _assigned_in(getattr(model, "populate", None))
    for relation in relations_of(model.__mapper__):
        reason = obstacle(relation)
        if reason is not None and relation.key in assigned:
            raise ContractError(
                name, f"model.{relation.key}", "not to be set in populate", f"a relationship that {reason}"
            )


def _conditions(relation: RelationshipProperty[Any]) -> int:
    joins = [each for each in (relation.primaryjoin, relation.secondaryjoin) if each is not None]
    return sum(isinstance(part, BinaryExpression) for join in joins for part in visitors.iterate(join))


def _shared_with_another(relation: RelationshipProperty[Any]) -> str | None:
    mine = set(relation.remote_side)
    for other in relations_of(relation.parent):
        if other is not relation and other.secondary is None and set(other.remote_side) & mine:
            return f"has the same foreign key as {other.key}: make one of them viewonly"
    return None


def _assigned_in(method: Any) -> set[str]:
    """Return the attributes that a method sets on its own object by a plain assignment."""
    code = getattr(inspect.unwrap(method) if callable(method) else None, "__code__", None)
    if code is None or not code.co_varnames:
        return set()
    own, steps = code.co_varnames[0], list(dis.get_instructions(code))
    return {
        store.argval
        for load, store in pairwise(steps)
        if store.opname == "STORE_ATTR" and load.opname.startswith("LOAD_FAST") and _last(load.argval) == own
    }


def _last(names: Any) -> Any:
    """Return the name that an instruction loads last; since Python 3.13 it may load two."""
    return names[-1] if isinstance(names, tuple) else names
