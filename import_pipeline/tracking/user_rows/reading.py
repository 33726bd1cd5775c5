"""Read the user's own rows by id, even if some are unreadable.

A row that cannot be read (an unknown value of an enumeration, a year beyond Python's range) must not end an import: its
item is fetched again, and its readable columns are kept.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, lazyload, load_only
from sqlalchemy.orm.attributes import init_collection, set_committed_value

from import_pipeline.contracts import Importable
from import_pipeline.contracts.relations import obstacle, relations_of
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.database.driver_errors import meaning_of
from import_pipeline.tracking.user_rows.model_columns import columns_of, mapper_of, table_of
from import_pipeline.tracking.user_rows.row_ids import item_id, keys_of
from import_pipeline.tracking.user_rows.tenant_rows import of_tenant

T = TypeVar("T")
#: Characters of a primary key that tracking stores, for people.
LONGEST_KEY = 200
#: A function that reads the rows of some keys.
Read = Callable[[Sequence[Any]], list[T]]


def load(
    connection: Connection, model: type[Any], external_ids: Sequence[str], source: str | None = None
) -> dict[str, Importable]:
    """Return the source's stored rows of those ids as detached objects of the user's class, by id."""
    keys, mine = keys_of(model, connection.dialect, external_ids), of_tenant(model, source)
    with Session(bind=connection, expire_on_commit=False, join_transaction_mode="rollback_only") as session:

        def read(some: Sequence[Any]) -> list[Importable]:
            found = select(model).where(model.external_id.in_(some), *mine)
            return list(session.scalars(found.options(lazyload("*"))))

        def read_parts(some: Sequence[Any]) -> list[Importable]:
            readable = [getattr(model, name) for name in _readable(connection, model, some, mine)]
            found = select(model).where(model.external_id.in_(some), *mine)
            return list(session.scalars(found.options(load_only(*readable), lazyload("*"))))

        rows = _read_each(connection, keys, read, read_parts)
        session.expunge_all()
    for row in rows:
        _begin_relations(row)
    return {item_id(model, row.external_id): row for row in rows}


def _begin_relations(row: Importable) -> None:
    """Let the row begin without related rows: those that are set replace the stored ones, and cannot be loaded here."""
    for relation in relations_of(mapper_of(type(row))):
        if obstacle(relation) is not None:
            continue
        if relation.uselist:
            init_collection(row, relation.key)
        else:
            set_committed_value(row, relation.key, None)


def ids(
    connection: Connection, model: type[Any], external_ids: Sequence[str], source: str | None = None
) -> dict[str, str]:
    """Return external_id -> primary key as text, for the source's stored rows; the beginning of a long one."""
    of_model: Any = model
    statement = _reading_ids(of_model).where(*of_tenant(model, source))

    def read(some: Sequence[Any]) -> list[Any]:
        return list(connection.execute(statement, {"some": some}))

    rows = _read_each(connection, keys_of(model, connection.dialect, external_ids), read)
    return {item_id(model, row[0]): ",".join(str(part) for part in row[1:])[:LONGEST_KEY] for row in rows}


@lru_cache(maxsize=256)
def _reading_ids(model: Any) -> Select[Any]:
    """Return the statement for ids and primary keys, built once: for each list page this costs as much as reading."""
    identity = table_of(model).c.external_id
    some = bindparam("some", type_=identity.type, expanding=True)
    return select(identity, *mapper_of(model).primary_key).where(identity.in_(some))


def _readable(
    connection: Connection, model: type[Any], keys: Sequence[Any], mine: Sequence[ColumnElement[bool]]
) -> list[str]:
    """Return the attributes that are readable in the rows of those keys."""

    def read(column: Any) -> list[Any]:
        return list(connection.execute(select(column).where(model.external_id.in_(keys), *mine)))

    columns = columns_of(mapper_of(model))
    return [each.attribute for each in columns if _tried(connection, read, each.column) is not None]


def _read_each(connection: Connection, keys: Sequence[Any], read: Read[T], otherwise: Read[T] | None = None) -> list[T]:
    """Return the rows, read in chunks, or one by one after an error. Rows that `otherwise` cannot read are left out."""
    rows: list[T] = []
    for some in chunks(keys):
        found = _tried(connection, read, some)
        if found is None:
            for key in some:
                one = _tried(connection, read, [key])
                if one is None and otherwise is not None:
                    one = _tried(connection, otherwise, [key])
                rows += one or []
        rows += found or []
    return rows


def _tried(connection: Connection, read: Callable[[Any], list[T]], what: Any) -> list[T] | None:
    """Return the rows; None if they cannot be read. Raises errors that are not about a row.

    On Postgres it runs in a savepoint: a statement that is refused there ends the whole transaction.
    """
    is_ended_by_errors = connection.dialect.name == "postgresql"
    try:
        with connection.begin_nested() if is_ended_by_errors else nullcontext():
            return read(what)
    except Exception as error:  # the user's own type may raise anything
        if isinstance(error, DBAPIError) and not meaning_of(error).is_refusal:
            raise
        return None
