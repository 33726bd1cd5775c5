"""Check the user's row class: all columns in one table, and a column `external_id`."""

from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import NoReferenceError

from import_pipeline.contracts.relations import check_relations, related_tables
from import_pipeline.errors import ContractError


def check_model(name: str, model: Any) -> None:
    """Raise ContractError for a mapping that an import could not write completely."""
    mapper = model.__mapper__
    column = mapper.columns.get("external_id")
    if column is None:
        raise ContractError(name, "model.external_id", "a column with a unique constraint", "nothing")
    if column.name != "external_id":
        raise ContractError(name, "model.external_id", "a column of that name", f"the column {column.name}")
    if len(mapper.tables) > 1:
        tables = ", ".join(table.name for table in mapper.tables)
        raise ContractError(name, "model", "a class whose columns lie in one table", f"the tables {tables}")
    _check_foreign_keys(name, mapper.local_table, set())
    for table, _ in related_tables(mapper):
        _check_foreign_keys(name, table, set())
    check_relations(name, model)


def _check_foreign_keys(name: str, table: Table, known: set[Table]) -> None:
    """Raise ContractError for a foreign key to a table that is not mapped: SQLAlchemy could create neither."""
    known.add(table)
    for key in table.foreign_keys:
        try:
            other = key.column.table
        except NoReferenceError as error:
            expected = "a foreign key to a table of the same metadata: import its class, or map it with the same Base"
            raise ContractError(name, f"model.{key.parent.name}", expected, key.target_fullname) from error
        if other not in known:
            _check_foreign_keys(name, other, known)
