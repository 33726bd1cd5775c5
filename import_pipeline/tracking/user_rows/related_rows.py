"""Store the related rows that a stub or a detail sets: in the transaction of their row, in place of the stored ones.

Only statements are executed and no object changes, so that the transaction can be repeated.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from sqlalchemy import Connection, Table, delete, func, insert, select
from sqlalchemy import inspect as mapping_of
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.orm.collections import collection_adapter

from import_pipeline.contracts.relations import obstacle, relations_of
from import_pipeline.tracking.database.dialect import among, chunks, operand_of
from import_pipeline.tracking.user_rows.linked_rows import store_targets
from import_pipeline.tracking.user_rows.model_columns import table_of
from import_pipeline.tracking.user_rows.row_values import column_values, filled_relations, set_relations

#: A row that others belong to: the values of its columns, and its object.
Owner = tuple[Mapping[str, Any], Any]


def store_related(connection: Connection, mapper: Mapper[Any], owners: Sequence[Owner], *, is_stub: bool) -> None:
    """Replace the related rows of owners that set some; those of other relationships stay.

    An empty relationship of a stub replaces nothing: the list may lack it. Raises ValueError for rows that cannot be
    stored, and errors of the database.
    """
    for relation in relations_of(mapper):
        if obstacle(relation) is not None:  # refused before, unless it is the way back to an owner
            continue
        setting = [
            (values, related(relation, owner))
            for values, owner in owners
            if relation.key in (filled_relations(owner) if is_stub else set_relations(owner))
        ]
        if not setting:
            continue
        if relation.secondary is None:
            _store_children(connection, relation, setting)
        else:
            _store_links(connection, relation, setting)


def related(relation: RelationshipProperty[Any], owner: Any) -> list[Any]:
    """Return the related objects in their order."""
    value = getattr(owner, relation.key)
    if not relation.uselist:
        return [] if value is None else [value]
    return list(collection_adapter(value))


def delete_related(connection: Connection, mapper: Mapper[Any], condition: Any) -> None:
    """Delete the rows that belong to the rows of the condition, if the class says so (cascade), and their links."""
    for relation in relations_of(mapper):
        if obstacle(relation) is None and (relation.secondary is not None or relation.cascade.delete):
            _delete_of(connection, relation, condition)


def _delete_of(connection: Connection, relation: RelationshipProperty[Any], condition: Any) -> None:
    """Delete the relationship's rows of all owners of the condition, with what belongs to them."""
    pairs = relation.synchronize_pairs
    owners = select(*[local for local, _ in pairs]).where(condition)
    mine = operand_of([remote for _, remote in pairs]).in_(owners)
    if relation.secondary is not None:
        connection.execute(delete(cast("Table", relation.secondary)).where(mine))
        return
    delete_related(connection, relation.mapper, mine)
    connection.execute(delete(table_of(relation.mapper.class_)).where(mine))


def _store_children(
    connection: Connection, relation: RelationshipProperty[Any], setting: Sequence[tuple[Mapping[str, Any], list[Any]]]
) -> None:
    pairs, mapper = relation.synchronize_pairs, relation.mapper
    keys = [tuple(values[local.name] for local, _ in pairs) for values, _ in setting]
    remotes = [remote for _, remote in pairs]
    _delete_children(connection, relation, remotes, keys, [child for _, some in setting for child in some])
    rows: list[tuple[dict[str, Any], Any]] = []
    for key, (_, children) in zip(keys, setting, strict=True):
        owned = dict(zip([remote.name for remote in remotes], key, strict=True))
        for child in children:
            _refuse_others(relation, child, is_shared=False)
            rows.append((column_values(child, connection.dialect) | owned, child))
    stored = _insert(connection, mapper, rows)
    count = sum(
        connection.scalar(select(func.count()).select_from(table_of(mapper.class_)).where(among(remotes, some))) or 0
        for some in chunks(keys)
    )
    if count != len(rows):
        name = table_of(mapper.class_).name
        raise ValueError(f"the table {name} did not store the rows: one of its triggers or rules dropped them")
    store_related(connection, mapper, stored, is_stub=False)


def _delete_children(
    connection: Connection,
    relation: RelationshipProperty[Any],
    remotes: Sequence[Any],
    keys: Sequence[tuple[Any, ...]],
    new: Sequence[Any],
) -> None:
    mapper = relation.mapper
    also = {key for child in new for key in set_relations(child)}
    for some in chunks(keys):
        mine = among(remotes, some)
        delete_related(connection, mapper, mine)
        for each in relations_of(mapper):
            if each.key in also and obstacle(each) is None and not each.cascade.delete:
                _delete_of(connection, each, mine)
        connection.execute(delete(table_of(mapper.class_)).where(mine))


def _refuse_others(relation: RelationshipProperty[Any], child: Any, *, is_shared: bool) -> None:
    """Raise ValueError for related objects of a child that are not stored, except the way back to its owner."""
    back = {each.key for each in relation._reverse_property}
    mapper = mapping_of(type(child))
    if not isinstance(child, relation.mapper.class_) or len(mapper.tables) > 1:
        expected = relation.mapper.class_.__name__
        raise ValueError(f"{relation.key}: expected rows of {expected}, got {type(child).__name__}")
    for each in relations_of(mapper):
        if each.key not in filled_relations(child) or each.key in back:
            continue
        reason = "is of a row that several link to: set it on a row of its own" if is_shared else obstacle(each)
        if reason is not None:
            raise ValueError(f"{type(child).__name__}.{each.key} is a relationship that {reason}")


def _owns(child: Any) -> bool:
    """Return True if related rows of the child itself are to be stored."""
    relations, chosen = relations_of(mapping_of(type(child))), set_relations(child)
    return any(each.key in chosen and obstacle(each) is None for each in relations)


def _insert(
    connection: Connection, mapper: Mapper[Any], rows: Sequence[tuple[dict[str, Any], Any]]
) -> list[tuple[Mapping[str, Any], Any]]:
    """Insert the rows in their order. Return those whose own related rows are to be stored, with their keys."""
    table, stored = table_of(mapper.class_), list[tuple[Mapping[str, Any], Any]]()
    for _, some in groupby(rows, key=lambda row: (tuple(row[0]), _owns(row[1]))):
        group = list(some)
        values = [each for each, _ in group]
        if not _owns(group[0][1]):
            connection.execute(insert(table), values)
            continue
        found = connection.execute(insert(table).returning(*table.c, sort_by_parameter_order=True), values)
        by_name = [{column.name: value for column, value in zip(table.c, row, strict=True)} for row in found]
        stored += [(each, child) for each, (_, child) in zip(by_name, group, strict=True)]
    return stored


def _store_links(
    connection: Connection, relation: RelationshipProperty[Any], setting: Sequence[tuple[Mapping[str, Any], list[Any]]]
) -> None:
    links: Any = relation.secondary
    pairs = relation.synchronize_pairs
    targets = [target for _, some in setting for target in some]
    for target in targets:
        _refuse_others(relation, target, is_shared=True)
    found = store_targets(connection, relation, targets)
    rows: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    keys = []
    for values, some in setting:
        keys.append(tuple(values[local.name] for local, _ in pairs))
        own = dict(zip([remote.name for _, remote in pairs], keys[-1], strict=True))
        for target in some:
            row = own | found[id(target)]
            rows[tuple(row.values())] = row
    for chunk in chunks(keys):
        connection.execute(delete(links).where(among([remote for _, remote in pairs], chunk)))
    if rows:
        connection.execute(insert(links), list(rows.values()))
