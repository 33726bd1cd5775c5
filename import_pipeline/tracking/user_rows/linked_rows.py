"""Rows that many rows link to, such as tags: found by what identifies them, or inserted."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.orm import Mapper, RelationshipProperty

from import_pipeline.contracts.relations import identities
from import_pipeline.tracking.database.dialect import among, chunks, insert_into
from import_pipeline.tracking.user_rows.row_values import column_values


def store_targets(
    connection: Connection, relation: RelationshipProperty[Any], targets: Sequence[Any]
) -> dict[int, dict[str, Any]]:
    """Insert or update the rows. Return by the object's `id()` the values of the link's columns that refer to its row.

    Raises ValueError for a row without what identifies it.
    """
    mapper, table = relation.mapper, relation.mapper.local_table
    by_identity: dict[tuple[str, ...], dict[tuple[Any, ...], dict[str, Any]]] = {}
    places: list[tuple[int, tuple[str, ...], tuple[Any, ...]]] = []
    for target in targets:
        values = column_values(target, connection.dialect)
        names = _identity(mapper, values)
        key = tuple(values[name] for name in names)
        by_identity.setdefault(names, {})[key] = values
        places.append((id(target), names, key))
    found: dict[tuple[str, ...], dict[tuple[Any, ...], dict[str, Any]]] = {}
    pairs = relation.secondary_synchronize_pairs or []
    for names, rows in by_identity.items():
        in_order = [rows[key] for key in sorted(rows, key=str)]  # the same order everywhere: no deadlocks
        for values in in_order:
            changed = {name: value for name, value in values.items() if name not in names}
            statement = insert_into(connection, table).values(values)
            upserting = (
                statement.on_conflict_do_update(index_elements=[*names], set_=changed)
                if changed
                else statement.on_conflict_do_nothing(index_elements=[*names])
            )
            connection.execute(upserting)
        found[names] = {}
        columns = [table.c[name] for name in names]
        for some in chunks(list(rows)):
            chosen = select(*columns, *[target for target, _ in pairs]).where(among(columns, some))
            for row in connection.execute(chosen):
                links = row[len(names) :]
                key = _text(row[: len(names)])
                found[names][key] = {remote.name: link for (_, remote), link in zip(pairs, links, strict=True)}
    return {place: _link(mapper, found[names], key) for place, names, key in places}


def _link(mapper: Mapper[Any], found: Mapping[tuple[Any, ...], dict[str, Any]], key: tuple[Any, ...]) -> dict[str, Any]:
    if (link := found.get(_text(key))) is None:
        raise ValueError(f"the row {key} of {mapper.class_.__name__} was not stored, or reads back as another one")
    return link


def _text(key: Sequence[Any]) -> tuple[str, ...]:
    """Return the key as texts: a database may return another type than it was given."""
    return tuple(map(str, key))


def _identity(mapper: Mapper[Any], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that identify the row."""
    candidates = [*identities(mapper), tuple(mapper.local_table.primary_key)]
    for columns in candidates:
        if columns and all(values.get(column.name) is not None for column in columns):
            return tuple(column.name for column in columns)
    ways = " or ".join("+".join(column.name for column in columns) for columns in candidates[:-1])
    raise ValueError(f"a row of {mapper.class_.__name__} has no {ways}, by which it could be found again")
