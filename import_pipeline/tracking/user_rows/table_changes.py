"""Make the user's tables follow their models: what can be added is added, all else is left to a person.

Alembic compares model and table. Nothing that an existing row could contradict is ever executed.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import ops
from sqlalchemy import Column, Connection, Index, MetaData, Table, inspect
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from sqlalchemy.schema import AddConstraint, CreateIndex, DropConstraint, DropIndex

from import_pipeline.errors import SchemaError
from import_pipeline.rules.database_errors import ErrorKind
from import_pipeline.tracking.database.dialect import schema_lock
from import_pipeline.tracking.database.driver_errors import first_line, meaning_of
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import quiet_alembic, refusals
from import_pipeline.tracking.user_rows import table_statements as write
from import_pipeline.tracking.user_rows.model_tables import needed_tables, own_tables
from import_pipeline.tracking.user_rows.user_tables import unique_columns


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A difference that is left to a person, with the statements to run by hand."""

    reason: str
    statements: tuple[str, ...]
    is_needed: bool = True  #: False: the table has more than the model, and imports work with it


@dataclass(frozen=True, kw_only=True)
class TableChanges:
    """The differences between the user's classes and their tables."""

    statements: tuple[str, ...]  #: these add what is absent, in this order
    refused: tuple[Refused, ...]


def changes_of(connection: Connection, models: Sequence[type[Any]]) -> TableChanges:
    """Return the differences of all tables that imports of these classes write."""
    own = own_tables(models)
    plan = _Plan(connection)
    for metadata in dict.fromkeys(table.metadata for table in own):
        theirs = [table for table in own if table.metadata is metadata]
        for operation in _differences(connection, metadata, theirs):
            plan.add(operation, metadata)
    return TableChanges(statements=tuple(dict.fromkeys(plan.statements)), refused=tuple(plan.refused))


def apply(database: Database, models: Sequence[type[Any]], confirmed: Sequence[str]) -> tuple[str, ...]:
    """Execute the confirmed statements that are still needed, in one transaction. Return them.

    Raises SchemaError, with nothing changed, if others became necessary since or if the database refuses one.
    """
    with refusals(database, "the columns, indexes and tables"), database.migrate() as connection:
        schema_lock(connection)
        statements = changes_of(connection, models).statements
        if not set(statements) <= set(confirmed):
            raise SchemaError("the tables were changed meanwhile, and nothing was added: run the command again")
        for statement in statements:
            try:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
            except SQLAlchemyError as error:
                if isinstance(error, ProgrammingError) and meaning_of(error) is ErrorKind.NO_RIGHT:
                    raise  # it has a sentence of its own
                raise SchemaError(f"{statement}: {first_line(error)}. Nothing was added") from error
    return statements


def _differences(connection: Connection, metadata: MetaData, own: Sequence[Table]) -> Iterator[Any]:
    """Yield Alembic's operations that would make the tables as the metadata has them; new tables come first."""
    default = inspect(connection).default_schema_name
    wanted = {_place(each, default): each in own for table in own for each in needed_tables(table)}

    def include_name(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name in {schema for schema, _ in wanted}
        return kind != "table" or (parents.get("schema_name"), name) in wanted

    def include_object(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:
        if kind != "table":
            return True
        is_own = wanted.get(_place(thing, default))
        return is_own is not None and (is_own or other is None)  # a table that others own is only created

    options = {
        "compare_type": True,
        "include_schemas": True,
        "include_name": include_name,
        "include_object": include_object,
        "target_metadata": metadata,
    }
    with quiet_alembic(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about indexes on expressions, which SQLite does not report
        context = MigrationContext.configure(connection, opts=options)
        operations = produce_migrations(context, metadata).upgrade_ops
    yield from [] if operations is None else operations.ops


def _place(table: Table, default: str | None) -> tuple[str | None, str]:
    return (None if table.schema == default else table.schema), table.name


class _Plan:
    """Collects statements and refusals, operation by operation."""

    def __init__(self, connection: Connection) -> None:
        self.statements: list[str] = []
        self.refused: list[Refused] = []
        self._dialect = write.writing_dialect(connection.dialect)
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._inspector = inspect(connection)
        self._types: set[tuple[str | None, str]] = set()
        if not self._is_sqlite:
            for each in self._inspector.get_enums(schema="*"):  # type: ignore[attr-defined]
                is_default = each["schema"] == self._inspector.default_schema_name
                self._types |= {(each["schema"], each["name"])} | ({(None, each["name"])} if is_default else set())

    def add(self, operation: Any, metadata: MetaData) -> None:
        """Add the statements of an operation, or the reason to leave it to a person."""
        default = self._inspector.default_schema_name
        tables = {_place(each, default): each for each in metadata.tables.values()}
        table = tables[operation.schema, operation.table_name]
        if isinstance(operation, ops.CreateTableOp):
            self._create(table)
            return
        added = [each.column for each in operation.ops if isinstance(each, ops.AddColumnOp)]
        for each in operation.ops:
            for kind, handle in self._handlers.items():
                if isinstance(each, kind):
                    handle(self, table, each, {column.name for column in added})

    def _create(self, table: Table) -> None:
        if self._inspector.has_table(table.name, schema=table.schema):
            reason = f"{table.fullname} is a view: an import needs a table"
            self.refused.append(Refused(reason=reason, statements=()))
            return
        self.statements += write.create_types(list(table.columns), self._types, self._dialect)
        self.statements.append(write.create_table(table, self._dialect))

    def _add_column(self, table: Table, operation: ops.AddColumnOp, added: set[str]) -> None:
        column = table.columns[operation.column.name]
        reason = self._reason_against(table, column)
        if reason is None:
            self.statements += write.create_types([column], self._types, self._dialect)
            self.statements.append(write.add_column(table, column, self._dialect))
            return
        by_hand: tuple[str, ...] = (write.add_column_by_hand(table, column, self._dialect),)
        if column.primary_key or self._may_lack_value(column):
            by_hand = self._rebuild(table) if self._is_sqlite else ()
        self._refuse(f"the column {table.fullname}.{column.name} is absent, and {reason}", *by_hand)

    def _reason_against(self, table: Table, column: Column[Any]) -> str | None:
        """Return why an absent column cannot be added to a table with rows; None if it can."""
        longest = self._dialect.max_identifier_length
        if len(column.name.encode()) > longest:
            return f"its name is longer than the {longest} bytes that the database keeps: shorten it"
        if self._is_sqlite and (twin := self._twin_of(table, column)) is not None:
            return f"SQLite takes it for {twin}, which differs by capitals only: rename it"
        if column.primary_key:
            return "it is part of the primary key"
        if not self._may_lack_value(column):
            return "existing rows have no value for it: make it nullable, or give it a server_default"
        if self._is_sqlite and column.computed is not None and column.computed.persisted:
            return "SQLite cannot add a stored computed column"
        if self._is_sqlite and column.computed is None and not write.has_constant_default(column, self._dialect):
            return "SQLite can add only a constant default"
        return None

    def _twin_of(self, table: Table, column: Column[Any]) -> str | None:
        there = [each["name"] for each in self._inspector.get_columns(table.name, schema=table.schema)]
        return next((name for name in there if name.lower() == column.name.lower()), None)

    def _may_lack_value(self, column: Column[Any]) -> bool:
        """Return True if the database itself has a value of the column for existing rows, such as NULL."""
        has_own = (column.server_default, column.identity, column.computed)
        is_generated = any(each is not None for each in has_own) and not (self._is_sqlite and column.identity)
        return bool(column.nullable) or is_generated

    def _alter_column(self, table: Table, operation: ops.AlterColumnOp, added: set[str]) -> None:
        column = table.columns[operation.column_name]
        name, quoted = f"{table.fullname}.{column.name}", self._dialect.identifier_preparer.format_column(column)
        if operation.modify_type is not None:
            new = write.type_of(column, self._dialect)
            old = operation.existing_type.compile(self._dialect) if operation.existing_type is not None else "unknown"
            if not (self._is_sqlite and write.affinity(old) == write.affinity(new)):
                self._refuse(
                    f"the column {name} is {old}, and the model has {new}",
                    *self._altered(table, column.name, f"TYPE {new} USING {quoted}::{new}"),
                )
        if operation.modify_nullable is not None and not column.primary_key:
            may, change = ("may be null", "SET") if operation.existing_nullable else ("may not be null", "DROP")
            self._refuse(
                f"the column {name} {may}, and in the model it {'may not' if change == 'SET' else 'may'}",
                *self._altered(table, column.name, f"{change} NOT NULL"),
            )

    def _altered(self, table: Table, column: str, change: str) -> tuple[str, ...]:
        if self._is_sqlite:
            return self._rebuild(table)
        return (write.alter_column(table, column, change, self._dialect),)

    def _rebuild(self, table: Table) -> tuple[str, ...]:
        there = {each["name"] for each in self._inspector.get_columns(table.name, schema=table.schema)}
        return write.rebuild(table, [each.name for each in table.columns if each.name in there], self._dialect)

    def _drop_column(self, table: Table, operation: ops.DropColumnOp, added: set[str]) -> None:
        found = {each["name"]: each for each in self._inspector.get_columns(table.name, schema=table.schema)}
        column = found[operation.column_name]
        is_needed = not column["nullable"] and column.get("default") is None
        reason = f"the model has no column {table.fullname}.{operation.column_name}"
        if is_needed:
            reason += ", which may not be null: each new row fails"
        self._refuse(reason, write.drop_column(table, operation.column_name, self._dialect), is_needed=is_needed)

    def _create_index(self, table: Table, operation: ops.CreateIndexOp, added: set[str]) -> None:
        index = operation.to_index()
        if not self._has_index(table, index, added):
            self.statements.append(write.text_of(CreateIndex(index), self._dialect))

    def _has_index(self, table: Table, index: Index, added: set[str]) -> bool:
        """Return True if an index of another name has the same columns. Partial ones count by name only."""
        names = [column.name for column in index.columns]
        if set(names) & added or not self._inspector.has_table(table.name, schema=table.schema):
            return False
        if index.unique:
            return names in unique_columns(self._inspector, table)
        there = self._inspector.get_indexes(table.name, schema=table.schema)
        is_there = any(each["column_names"] == names and not _is_partial(each) for each in there)
        return is_there and not index.dialect_kwargs

    def _create_unique(self, table: Table, operation: ops.CreateUniqueConstraintOp, added: set[str]) -> None:
        names = [str(each) for each in operation.columns]
        if not set(names) & added and names in unique_columns(self._inspector, table):
            return
        element: Any = AddConstraint(operation.to_constraint())
        if self._is_sqlite:  # it can add no constraint to a table, and an index does the same
            name = operation.constraint_name or f"uq_{table.name}_{'_'.join(names)}"
            copy = Table(table.name, MetaData(), *[Column(each) for each in names], schema=table.schema)
            element = CreateIndex(Index(str(name), *copy.columns, unique=True))
        self.statements.append(write.text_of(element, self._dialect))

    def _create_foreign_key(self, table: Table, operation: ops.CreateForeignKeyOp, added: set[str]) -> None:
        names = [str(each) for each in operation.local_cols]
        if len(names) == 1 and set(names) <= added:
            return  # it comes with its column
        element = AddConstraint(operation.to_constraint())
        by_hand = self._rebuild(table) if self._is_sqlite else (write.text_of(element, self._dialect),)
        self._refuse(f"{table.fullname} has no foreign key of {', '.join(names)}", *by_hand, is_needed=False)

    def _drop_index(self, table: Table, operation: ops.DropIndexOp, added: set[str]) -> None:
        index = operation.to_index()
        names = [column.name for column in index.columns]
        groups: list[Any] = [*table.indexes, *table.constraints]
        if names not in [[column.name for column in each.columns] for each in groups]:
            by_hand = write.text_of(DropIndex(index), self._dialect)
            self._refuse(f"the model has no index {index.name} of {table.fullname}", by_hand, is_needed=False)

    def _drop_constraint(self, table: Table, operation: ops.DropConstraintOp, added: set[str]) -> None:
        name = operation.constraint_name
        reason = f"the model has no constraint {name or 'without a name'} of {table.fullname}"
        if self._is_sqlite:
            by_hand = self._rebuild(table)
        else:
            by_hand = (write.text_of(DropConstraint(operation.to_constraint()), self._dialect),)
        self._refuse(reason, *by_hand, is_needed=False)

    def _refuse(self, reason: str, *statements: str, is_needed: bool = True) -> None:
        self.refused.append(Refused(reason=reason, statements=statements, is_needed=is_needed))

    _handlers: dict[type[Any], Callable[..., None]] = {
        ops.AddColumnOp: _add_column,
        ops.AlterColumnOp: _alter_column,
        ops.DropColumnOp: _drop_column,
        ops.CreateIndexOp: _create_index,
        ops.CreateUniqueConstraintOp: _create_unique,
        ops.CreateForeignKeyOp: _create_foreign_key,
        ops.DropIndexOp: _drop_index,
        ops.DropConstraintOp: _drop_constraint,
    }


def _is_partial(index: Any) -> bool:
    return any(option.endswith("_where") for option in index.get("dialect_options", {}))
