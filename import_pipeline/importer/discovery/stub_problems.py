"""Find problems of the stubs of a page before an import: columns left empty, related rows that cannot be stored."""

import httpx
from sqlalchemy import Column

from import_pipeline.contracts.relations import obstacle, relations_of
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.tracking.user_rows.row_values import filled_relations


def empty_columns(of_list: SourceList, response: httpx.Response) -> list[str]:
    """Return the mapped columns that refuse NULL, have no default, and are empty in each stub of the page.

    A stub is stored before its detail, so each item would fail. Raises HookFailed.
    """
    stubs = [found.importable for found in of_list.parse(response, 1) if found.importable is not None]
    mapped = of_list.source.model.__mapper__.column_attrs
    needed = [each.key for each in mapped if _needs_value(each.columns[0])]
    return [key for key in needed if stubs and all(getattr(stub, key, None) is None for stub in stubs)]


def refused_relations(of_list: SourceList, response: httpx.Response) -> list[str]:
    """Return a sentence for each relationship that a stub of the page sets and that cannot be stored.

    Each such item would fail. Raises HookFailed.
    """
    found: dict[str, None] = {}
    for item in of_list.parse(response, 1):
        if item.importable is not None:
            for relation in relations_of(of_list.source.model.__mapper__):
                reason = obstacle(relation)
                if reason is not None and relation.key in filled_relations(item.importable):
                    found[f"{of_list.source.model.__name__}.{relation.key} is set by stub(), but {reason}"] = None
    return list(found)


def _needs_value(column: Column[object]) -> bool:
    """Return True if the database refuses a row without a value for the column."""
    is_generated = column is column.table._autoincrement_column or column.identity or column.computed
    is_filled = column.default or column.server_default or is_generated or column.foreign_keys
    return not column.nullable and not is_filled
