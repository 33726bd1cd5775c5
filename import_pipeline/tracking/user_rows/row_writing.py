"""Write the user's own rows: insert or update by external_id, and verify the result.

A trigger or rule may silently drop a row, a column may treat two ids as equal, and a stored row may be unreadable. So
each batch is read back before its transaction ends.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, func, select
from sqlalchemy.exc import DBAPIError, StatementError

from import_pipeline.contracts import Importable
from import_pipeline.contracts.relations import relations_of
from import_pipeline.rules.database_errors import ErrorKind
from import_pipeline.tracking.database.dialect import chunks, insert_for
from import_pipeline.tracking.database.driver_errors import meaning_of
from import_pipeline.tracking.user_rows.model_columns import MappedColumn, columns_of, mapper_of, table_of
from import_pipeline.tracking.user_rows.related_rows import store_related
from import_pipeline.tracking.user_rows.row_ids import item_id, keys_of, same_key
from import_pipeline.tracking.user_rows.row_values import set_relations, values_of
from import_pipeline.tracking.user_rows.tenant_rows import (
    id_of_sibling,
    identity_of,
    of_same_tenant,
    of_tenant,
    owner_of,
    taken_sentence,
)

#: Meanings of errors about a row; OTHER includes codes that a user's trigger invents.
_OF_THE_ROW = {ErrorKind.ROW, ErrorKind.MODEL, ErrorKind.NO_RIGHT, ErrorKind.OTHER}
#: Errors of a row that cannot be stored: the database's refusal, or the driver's (a zero byte, half a character).
_REFUSALS = (StatementError, ValueError, TypeError, OverflowError)
#: Refusals that no other row can change: a value of the row itself is missing or wrong.
_FINAL_STATES = {"23502", "23514"}
_FINAL_CODES = {"SQLITE_CONSTRAINT_NOTNULL", "SQLITE_CONSTRAINT_CHECK", "SQLITE_CONSTRAINT_DATATYPE"}


class RowsRefused(Exception):
    """A row cannot be stored: roll the transaction back, and try it again row by row.

    `may_pass`: another row of the import may block it, such as one that still has its unique value.
    """

    def __init__(self, reason: str, *, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_pass = may_pass


def refusal_of(error: Exception, model: type[Any]) -> RowsRefused | None:
    """Return an error of a write or of its commit as a refusal; None if it is not about the rows."""
    if isinstance(error, RowsRefused):
        return error
    if not isinstance(error, _REFUSALS) or meaning_of(error) not in _OF_THE_ROW:
        return None
    cause = (error.orig if isinstance(error, StatementError) else None) or error
    sentence = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    state, code = getattr(cause, "pgcode", None), getattr(cause, "sqlite_errorname", None)
    of_others = (state or "")[:2] in {"23", "P0"} or (code or "").startswith("SQLITE_CONSTRAINT")
    may_pass = of_others and state not in _FINAL_STATES and code not in _FINAL_CODES
    return RowsRefused(f"the table {table_of(model).name} refuses the row: {sentence}", may_pass=may_pass)


def upsert(
    connection: Connection,
    model: type[Any],
    importables: Sequence[Importable],
    *,
    is_stub: bool = False,
    related: bool = True,
) -> None:
    """Insert or update by external_id. Only attributes that were set are written, and with `related` the related rows.

    For a stub that is not the whole item, None is written to new rows only: an existing value is kept, since the list
    lacks it. Raises RowsRefused; then the transaction must be rolled back.
    """
    try:
        rows = [values_of(importable, connection.dialect, is_stub=is_stub) for importable in importables]
    except ValueError as error:
        raise RowsRefused(str(error)) from error
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for values in rows:
        by_columns[tuple(values)].append(values)
    for names, some in by_columns.items():
        try:
            _write(connection, model, names, some, is_stub=is_stub)
        except _REFUSALS as error:
            if (refusal := refusal_of(error, model)) is None:
                raise
            raise refusal from error
        _read_back(connection, model, names, some)
    if related:
        _store_related(connection, model, importables, is_stub=is_stub)
    owner = owner_of(importables[0]) if importables else None
    taken = id_of_sibling(connection, owner, [values["external_id"] for values in rows]) if owner is not None else None
    if taken is not None:
        raise RowsRefused(taken_sentence(model, *taken))


def _store_related(
    connection: Connection, model: type[Any], importables: Sequence[Importable], *, is_stub: bool
) -> None:
    """Store the related rows that the rows set. Raises RowsRefused."""
    by_id = {item_id(model, row.external_id): row for row in importables if set_relations(row)}
    if not by_id:
        return
    table = table_of(model)
    # No others: one of them may be unreadable.
    keys = {local for relation in relations_of(mapper_of(model)) for local, _ in relation.synchronize_pairs}
    columns = [column for column in table.c if column in keys or column.name == "external_id"]
    try:
        for some in chunks(keys_of(model, connection.dialect, by_id)):
            mine = (table.c.external_id.in_(some), *of_same_tenant(model, importables))
            found = connection.execute(select(*columns).where(*mine))
            stored = [{column.name: value for column, value in zip(columns, row, strict=True)} for row in found]
            owners = [(values, by_id[item_id(model, values["external_id"])]) for values in stored]
            store_related(connection, mapper_of(model), owners, is_stub=is_stub)
    except _REFUSALS as error:
        if isinstance(error, ValueError) and not isinstance(error, StatementError):
            raise RowsRefused(str(error)) from error
        if (refusal := refusal_of(error, model)) is None:
            raise
        raise refusal from error


def _write(
    connection: Connection, model: type[Any], names: tuple[str, ...], rows: list[dict[str, Any]], *, is_stub: bool
) -> None:
    table = table_of(model)
    statement, returns_rows = _upserting(connection.dialect.name, table, names, identity_of(model), is_stub=is_stub)
    written = connection.execute(statement, rows)
    if returns_rows and len(written.all()) < len(rows):
        raise RowsRefused(_dropped(table))


def _dropped(table: Table) -> str:
    return f"the table {table.name} did not store the row: one of its triggers or rules dropped the write"


def _read_back(connection: Connection, model: type[Any], names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Raise RowsRefused if a row is absent, belongs to another item, or cannot be read."""
    of_model: Any = model
    checked, reading = _reading(of_model, names)
    table, keys = table_of(model), [values["external_id"] for values in rows]
    mine = of_tenant(model, rows[0].get("tenant"))
    try:
        found = connection.execute(reading.where(*mine) if mine else reading, {"read_back": keys}).all()
    except Exception as error:  # the user's own type may raise anything
        if isinstance(error, DBAPIError) and meaning_of(error) not in _OF_THE_ROW:
            raise
        raise RowsRefused(f"the row of the table {table.name} could not be read back: {error}") from error
    by_id = {item_id(model, row[0]): row for row in found}
    for values in rows:
        external_id = item_id(model, values["external_id"])
        row = by_id.get(external_id)
        if row is None:
            raise RowsRefused(_not_there(table, external_id, list(by_id)))
        for each, value in zip(checked, row[1:], strict=True):
            if each.is_key and each.name != "external_id" and not same_key(each.column.type, value, values[each.name]):
                raise RowsRefused(
                    f"the row has the primary key {each.name} {value}, and the source sets {values[each.name]}: "
                    "a stored key is never changed"
                )


@lru_cache(maxsize=256)
def _reading(model: Any, names: tuple[str, ...]) -> tuple[list[MappedColumn], Select[Any]]:
    """Return the columns to check of those names, and the statement that reads ids and them."""
    columns = [each for each in columns_of(mapper_of(model)) if each.name in names]
    checked, identity = [each for each in columns if each.is_fragile or each.is_key], table_of(model).c.external_id
    keys = bindparam("read_back", type_=identity.type, expanding=True)
    return checked, select(identity, *[each.column for each in checked]).where(identity.in_(keys))


def _not_there(table: Table, external_id: str, others: list[str]) -> str:
    if not others:
        return _dropped(table)
    return (
        f"the column external_id of {table.name} treats {external_id!r} and {others[0]!r} as equal: two ids would "
        "share one row. Use a type and collation that distinguish ids, such as String(255)"
    )


def _upserting(
    dialect: str, table: Table, names: tuple[str, ...], identity: tuple[str, ...], *, is_stub: bool
) -> tuple[Any, bool]:
    changes = any(column.onupdate is not None and column.onupdate.is_callable for column in table.columns)
    return (_build_upsert if changes else _cached_upsert)(dialect, table, names, identity, is_stub=is_stub)


def _build_upsert(
    dialect: str, table: Table, names: tuple[str, ...], identity: tuple[str, ...], *, is_stub: bool
) -> tuple[Any, bool]:
    """Return the statement, and True if it returns each written row."""
    statement, columns = insert_for(dialect, table), table.c
    changed: dict[str, Any] = {
        name: func.coalesce(statement.excluded[name], columns[name]) if is_stub else statement.excluded[name]
        for name in names
        if name not in identity and not columns[name].primary_key
    }
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=identity), False
    changed |= _on_update(table, changed)
    upserting = statement.on_conflict_do_update(index_elements=identity, set_=changed)
    return upserting.returning(columns.external_id), True


#: Cached for models whose statement is the same each time.
_cached_upsert = lru_cache(maxsize=256)(_build_upsert)


def _on_update(table: Table, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `onupdate=`, which ON CONFLICT DO UPDATE leaves out."""
    promised = {}
    for column in table.columns:
        default = column.onupdate
        if default is None or column.name in changed:
            continue
        if default.is_callable:
            promised[column.name] = default.arg(None)  # type: ignore[attr-defined]
        elif default.is_scalar or default.is_clause_element:
            promised[column.name] = default.arg  # type: ignore[attr-defined]
    return promised
