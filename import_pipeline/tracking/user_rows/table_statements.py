"""The statements that change a user's table, as text: what is printed is what is executed."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from alembic.ddl.base import AddColumn
from sqlalchemy import Column, Dialect, MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from import_pipeline.tracking.user_rows.model_tables import needed_tables

#: A default that SQLite can give to existing rows without rebuilding their table.
_CONSTANT = re.compile(r"[-+]?[0-9.]+|x?'([^']|'')*'|NULL|TRUE|FALSE", re.IGNORECASE)
#: In a statement to run by hand: the person's own value for existing rows.
PLACEHOLDER = "<a value for existing rows>"


def writing_dialect(dialect: Dialect) -> Dialect:
    """Return the dialect without its driver, which would double each percent sign."""
    return PGDialect(paramstyle="named") if dialect.name == "postgresql" else dialect  # type: ignore[no-untyped-call]


def text_of(element: DDLElement, dialect: Dialect) -> str:
    """Return a statement without its end."""
    return str(element.compile(dialect=dialect)).strip()


def type_of(column: Column[Any], dialect: Dialect) -> str:
    """Return the column's type as the database writes it."""
    return column.type.compile(dialect)


def create_table(table: Table, dialect: Dialect) -> str:
    """Return the statement for an absent table, without its indexes."""
    return text_of(CreateTable(table), dialect)


def add_column(table: Table, column: Column[Any], dialect: Dialect) -> str:
    """Return the statement for an absent column, with its foreign key."""
    element = AddColumn(table.name, column, schema=table.schema, inline_references=True)
    return text_of(element, dialect)


def add_column_by_hand(table: Table, column: Column[Any], dialect: Dialect) -> str:
    """Return the statement for a column that may not be null, with a place for the value of existing rows."""
    name = dialect.identifier_preparer.format_column(column)
    return f"{_alter(table, dialect)} ADD COLUMN {name} {type_of(column, dialect)} DEFAULT {PLACEHOLDER} NOT NULL"


def alter_column(table: Table, column: str, change: str, dialect: Dialect) -> str:
    """Return the statement that changes a column: `TYPE BIGINT`, `SET NOT NULL` or `DROP NOT NULL`."""
    return f"{_alter(table, dialect)} ALTER COLUMN {dialect.identifier_preparer.quote(column)} {change}"


def drop_column(table: Table, column: str, dialect: Dialect) -> str:
    """Return the statement that removes a column."""
    return f"{_alter(table, dialect)} DROP COLUMN {dialect.identifier_preparer.quote(column)}"


def _alter(table: Table, dialect: Dialect) -> str:
    return f"ALTER TABLE {dialect.identifier_preparer.format_table(table)}"


def has_constant_default(column: Column[Any], dialect: Dialect) -> bool:
    """Return True if the default is a plain value; False for a function, such as the time."""
    compiler = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]
    default = compiler.get_column_default_string(column)
    return default is None or _CONSTANT.fullmatch(default.strip("()")) is not None


def create_types(columns: Sequence[Column[Any]], known: set[tuple[str | None, str]], dialect: Dialect) -> Iterator[str]:
    """Yield the statements for types of Postgres that the columns need, such as enumerations, and that are absent."""
    for column in columns:
        type_ = _plain(column.type, dialect)
        if not isinstance(type_, postgresql.ENUM | postgresql.DOMAIN) or (type_.schema, type_.name or "") in known:
            continue
        known.add((type_.schema, type_.name or ""))
        is_enum = isinstance(type_, postgresql.ENUM)
        yield text_of((postgresql.CreateEnumType if is_enum else postgresql.CreateDomainType)(type_), dialect)


def _plain(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the dialect's own type, without the user's decorators and without ARRAY."""
    while isinstance(type_, TypeDecorator):
        type_ = type_.load_dialect_impl(dialect)
    found = type_.dialect_impl(dialect)
    inner = getattr(found, "item_type", None)
    return found if inner is None else _plain(inner, dialect)


def affinity(type_: str) -> str:
    """Return the class of values that SQLite stores in a column of this type; it enforces nothing else."""
    name = type_.upper()
    if "INT" in name:
        return "INTEGER"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in name or not name:
        return "BLOB"
    return "REAL" if any(part in name for part in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


def rebuild(table: Table, kept: Sequence[str], dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that rebuild a table of SQLite, which can change no column in place.

    `kept`: the columns whose values are copied.
    """
    copy, new_name = MetaData(), f"{table.name}_new"
    for each in needed_tables(table):
        each.to_metadata(copy, name=new_name if each is table else each.name)
    new = copy.tables[new_name if table.schema is None else f"{table.schema}.{new_name}"]
    new.indexes.clear()
    quote = dialect.identifier_preparer.quote
    columns, old = ", ".join(map(quote, kept)), dialect.identifier_preparer.format_table(table)
    fresh = dialect.identifier_preparer.format_table(new)
    return (
        "PRAGMA foreign_keys=OFF",
        "BEGIN",
        create_table(new, dialect),
        f"INSERT INTO {fresh} ({columns}) SELECT {columns} FROM {old}",  # noqa: S608 - quoted names of columns
        f"DROP TABLE {old}",
        f"ALTER TABLE {fresh} RENAME TO {quote(table.name)}",
        *[text_of(CreateIndex(index), dialect) for index in sorted(table.indexes, key=lambda each: str(each.name))],
        "COMMIT",
    )
