"""The paths at which imports have found the items of list pages, as their checkpoints show."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from import_pipeline.tracking.lists.slice_table import import_slices as slices
from import_pipeline.tracking.tables import imports

#: Checkpoints that are read, the latest ones first. Imports that failed at page one have none.
MOST_READ = 100


def has_listed(connection: Connection, source: str, path: str) -> bool:
    """Return True if an import of the source has stored a list page whose items were at that path.

    A checkpoint of an earlier version names no path: it counts as this one.
    """
    of_import = slices.join(imports, imports.c.id == slices.c.import_id)
    lists = select(imports.c.checkpoint).order_by(imports.c.id.desc())
    parts = select(slices.c.checkpoint).select_from(of_import).order_by(slices.c.id.desc())
    for which, table in ((lists, imports), (parts, slices)):
        begun = which.where(imports.c.source == source, table.c.checkpoint.is_not(None)).limit(MOST_READ)
        if any(_shows(checkpoint, path) for checkpoint in connection.scalars(begun)):
            return True
    return False


def _shows(checkpoint: Mapping[str, Any], path: str) -> bool:
    """Return True if the checkpoint of a list is behind a page with items at that path."""
    is_behind = bool(checkpoint.get("page") or checkpoint.get("is_known"))
    return is_behind and (checkpoint.get("basis") or {}).get("items") in {None, path}
