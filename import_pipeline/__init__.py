"""Copy every record of a rate-limited API into your database, on a schedule, and keep it up to date.

The public names. Each is imported at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from import_pipeline.contracts import (
        Connector,
        Cursor,
        Importable,
        ImportableMixin,
        ImportSource,
        LastId,
        LinkHeader,
        NextUrl,
        Notice,
        Offset,
        PageNumber,
        Retry,
        UtcDateTime,
        next_link,
        path_segment,
    )
    from import_pipeline.importer.run_import import run_import
    from import_pipeline.importer.runtime.api_client import open_api
    from import_pipeline.importer.summary import ImportSummary
    from import_pipeline.rules.partitions import buckets, per_item
    from import_pipeline.tracking.history import HasImportStatus

__all__ = [
    "Connector",
    "Cursor",
    "HasImportStatus",
    "ImportSource",
    "ImportSummary",
    "Importable",
    "ImportableMixin",
    "LastId",
    "LinkHeader",
    "NextUrl",
    "Notice",
    "Offset",
    "PageNumber",
    "Retry",
    "UtcDateTime",
    "buckets",
    "next_link",
    "open_api",
    "path_segment",
    "per_item",
    "run_import",
]

_HOMES = {
    "PageNumber": "contracts",
    "Offset": "contracts",
    "NextUrl": "contracts",
    "LinkHeader": "contracts",
    "LastId": "contracts",
    "Cursor": "contracts",
    "Connector": "contracts",
    "HasImportStatus": "tracking.history",
    "ImportSource": "contracts",
    "ImportSummary": "importer.summary",
    "Importable": "contracts",
    "ImportableMixin": "contracts",
    "Notice": "contracts",
    "Retry": "contracts",
    "UtcDateTime": "contracts",
    "buckets": "rules.partitions",
    "next_link": "contracts",
    "open_api": "importer.runtime.api_client",
    "path_segment": "contracts",
    "per_item": "rules.partitions",
    "run_import": "importer.run_import",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
