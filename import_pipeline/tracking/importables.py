"""Writing the user's own rows: insert or update by external_id, on both databases alike."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, cast

from sqlalchemy import Column, Connection, String, Table, delete, select
from sqlalchemy import inspect as mapping_of
from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.orm import Mapper, Session

from import_pipeline.contracts import Importable
from import_pipeline.tracking.dialect import insert_for
from import_pipeline.tracking.tables import source_items

#: What a row that cannot be stored raises: the database's refusal, or the driver's (a zero byte, half a character).
REFUSALS = (StatementError, ValueError, TypeError, OverflowError)
#: How many ids go into one IN (…).
CHUNK = 500


def chunks(values: Sequence[Any], size: int = CHUNK) -> Iterable[Sequence[Any]]:
    """The values in pieces of at most that size."""
    return (values[start : start + size] for start in range(0, len(values), size))


def table_of(model: type[Any]) -> Table:
    """The mapped table."""
    return cast("Table", model.__table__)


def load(connection: Connection, model: type[Any], external_ids: Sequence[str]) -> dict[str, Importable]:
    """The stored rows of those ids as detached objects of the user's class."""
    found: dict[str, Importable] = {}
    with Session(bind=connection, expire_on_commit=False) as session:
        for some in chunks(external_ids):
            for importable in session.scalars(select(model).where(model.external_id.in_(some))):
                found[str(importable.external_id)] = importable
        session.expunge_all()
    return found


def ids(connection: Connection, model: type[Any], external_ids: Sequence[str]) -> dict[str, str]:
    """external_id -> primary key as text, of the rows that are stored."""
    key = mapping_of(model).primary_key
    found: dict[str, str] = {}
    for some in chunks(external_ids):
        for row in connection.execute(select(model.external_id, *key).where(model.external_id.in_(some))):
            found[str(row[0])] = ",".join(str(part) for part in row[1:])
    return found


class RowsRefused(Exception):
    """The user's table refuses a row of a batch: the transaction is spoilt, and to be tried again row by row."""


def upsert_at_once(connection: Connection, model: type[Any], importables: Sequence[Importable]) -> None:
    """`upsert` for those who can repeat their whole transaction: it spares two round trips. Raises RowsRefused."""
    try:
        _upsert(connection, model, importables)
    except REFUSALS as error:
        if _is_outage(error):
            raise
        raise RowsRefused from error


def upsert(connection: Connection, model: type[Any], importables: Sequence[Importable]) -> list[tuple[Importable, str]]:
    """Insert or update by external_id. Returns what the database refused, each with its reason; all else is stored.

    Only attributes that were set are written, so that a stub leaves the details alone.
    """
    try:
        with connection.begin_nested():
            _upsert(connection, model, importables)
    except REFUSALS as error:
        if _is_outage(error):
            raise
        return _upsert_one_by_one(connection, model, importables)
    return []


def _upsert_one_by_one(
    connection: Connection, model: type[Any], importables: Sequence[Importable]
) -> list[tuple[Importable, str]]:
    """The slow way, for a batch with a bad row: the others must not suffer."""
    refused = []
    for importable in importables:
        try:
            with connection.begin_nested():
                _upsert(connection, model, [importable])
        except REFUSALS as error:
            if _is_outage(error):
                raise
            cause = error.orig if isinstance(error, StatementError) else error
            sentence = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            refused.append((importable, f"the table {table_of(model).name} refuses the row: {sentence}"))
    return refused


def _is_outage(error: Exception) -> bool:
    return isinstance(error, OperationalError) or bool(getattr(error, "connection_invalidated", False))


def _upsert(connection: Connection, model: type[Any], importables: Sequence[Importable]) -> None:
    columns = _columns(mapping_of(model))
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for importable in importables:
        state = vars(importable)
        values = {name: state[key] for key, name in columns if key in state}
        by_columns[tuple(values)].append(values)
    for names, rows in by_columns.items():
        connection.execute(_upserting(connection.dialect.name, table_of(model), names), rows)


@cache
def _columns(mapper: Mapper[Any]) -> list[tuple[str, str]]:
    """(attribute, column) of all that is written; a primary key that the database gives is left out."""
    return [
        (attribute.key, column.name)
        for attribute in mapper.column_attrs
        if isinstance(column := attribute.columns[0], Column)
        and (column.name == "external_id" or not column.primary_key)
    ]


def _upserting(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    changes = any(column.onupdate is not None and column.onupdate.is_callable for column in table.columns)
    return (_build_upsert if changes else _built_upsert)(dialect, table, names)


def _build_upsert(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    statement = insert_for(dialect, table)
    changed = {name: statement.excluded[name] for name in names if name != "external_id"}
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=["external_id"])
    changed |= _on_update(table, changed)
    return statement.on_conflict_do_update(index_elements=["external_id"], set_=changed)


#: Kept where the statement is the same each time.
_built_upsert = lru_cache(maxsize=256)(_build_upsert)


def _on_update(table: Table, changed: Mapping[str, Any]) -> dict[str, Any]:
    """What `onupdate=` promises, which ON CONFLICT DO UPDATE leaves out."""
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


def forget(connection: Connection, source: str, model: type[Any]) -> int:
    """Delete the rows that this source has imported and its versions, nothing else; returns how many rows."""
    mine = select(source_items.c.external_id).where(source_items.c.source == source)
    column = table_of(model).c.external_id
    as_text = column if isinstance(column.type, String) else column.cast(String)
    deleted = connection.execute(delete(model).where(as_text.in_(mine))).rowcount
    connection.execute(delete(source_items).where(source_items.c.source == source))
    return int(deleted)
