"""Find declared paths that no answer of an import had: a misspelt one shows only as a column full of nulls."""

import sys
from typing import TYPE_CHECKING, TypeGuard

from sqlalchemy import Connection, select

from import_pipeline.contracts import ImportSource
from import_pipeline.redaction import redact

if TYPE_CHECKING:
    from import_pipeline.declarative.declared import Declared

#: Event: declared paths that no item of the import had.
PATHS_NOT_FOUND = "paths_not_found"


def _is_declared(source: ImportSource) -> "TypeGuard[Declared]":
    """Return True for a declared source. Its class is imported already, then; else importing it would take a while."""
    module = sys.modules.get("import_pipeline.declarative.declared")
    return module is not None and isinstance(source, module.Declared)


def path_of_items(source: ImportSource) -> str | None:
    """Return the declared path of the items in a list page; None for a written class."""
    return source.declaration.items if _is_declared(source) else None


def defines(source: ImportSource, hook: str) -> bool:
    """Return True if the class of the source has the hook as its own; of a declared one, if it has the key."""
    if _is_declared(source):
        return getattr(source.declaration, hook) is not None
    return getattr(type(source), hook) is not getattr(ImportSource, hook)


def watch_paths(source: ImportSource) -> None:
    """Begin to watch the paths of a declared source, for one import."""
    if _is_declared(source):
        source.model.sightings.begin()


def unmet_paths(source: ImportSource) -> list[str]:
    """Return a clause for each declared path that no answer had since the watch began; none for a written class."""
    return source.model.sightings.sentences() if _is_declared(source) else []


def unmet_by_all(connection: Connection, source: ImportSource) -> list[str]:
    """Return the clauses without those of columns that have a value: another process read a part of the items."""
    if not _is_declared(source):
        return []
    model = source.model
    columns = {field.name: getattr(model, field.attribute) for field in model.fields}
    filled = [
        name
        for name, column in columns.items()
        if connection.execute(select(column).where(column.is_not(None)).limit(1)).first()
    ]
    return model.sightings.sentences(without=filled)


def sentence_of(clauses: list[str]) -> str:
    """Return the clauses as the sentence of an event or a note."""
    from import_pipeline.declarative.sightings import listed

    return redact(f"Check these paths: {listed(clauses)}")
