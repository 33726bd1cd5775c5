"""Check the user's row class: all columns in one table, and a column `external_id`."""

from typing import Any

from import_pipeline.contracts.relations import check_relations
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
    check_relations(name, model)
