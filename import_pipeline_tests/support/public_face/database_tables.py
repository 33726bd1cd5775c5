"""The database tables."""

from typing import Any


def tables() -> dict[str, Any]:
    """Return the columns, keys and indexes of the tracking tables and of the example's table."""
    from import_pipeline.sources.items import ImportedItem
    from import_pipeline.tracking.tables import imports

    return {table.name: _table(table) for table in (*imports.metadata.sorted_tables, ImportedItem.__table__)}


def _table(table: Any) -> dict[str, Any]:
    columns = {
        column.name: str(column.type)
        + ("" if column.nullable else " not null")
        + (" primary key" if column.primary_key else "")
        for column in table.columns
    }
    indexes = {}
    for index in table.indexes:
        names = ", ".join(str(each).split(".")[-1] for each in index.expressions)
        indexes[index.name] = f"{'unique ' if index.unique else ''}({names})"
    constraints = sorted(str(each.name) for each in table.constraints if each.name)
    return {"columns": columns, "indexes": dict(sorted(indexes.items())), "constraints": constraints}
