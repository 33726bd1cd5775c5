"""Copy every record of a rate-limited API into your database, on a schedule, and keep it up to date.

The public names. Each is imported at its first use. Those for Dagster are in `import_pipeline.dagster`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from import_pipeline.contracts import (
        ACCEPT,
        FAIL,
        GONE,
        NOT_MODIFIED,
        RATE_LIMITED,
        RETRY,
        SKIP,
        STOP,
        Connector,
        Cursor,
        Importable,
        ImportableMixin,
        ImportSource,
        Incremental,
        JwtBearer,
        LastId,
        LinkHeader,
        NextUrl,
        Notice,
        OAuth2,
        Offset,
        Origin,
        PageNumber,
        ResponseAction,
        Retry,
        TenantMixin,
        UtcDateTime,
        next_link,
        path_segment,
    )
    from import_pipeline.declarative import Column, OnePage, RestSource
    from import_pipeline.errors import (
        ApiBlocked,
        ImportAlreadyRunning,
        ImportPipelineError,
        ItemRejected,
        ItemRetryable,
        LimiterUnavailable,
    )
    from import_pipeline.importer.installation import open_for
    from import_pipeline.importer.run_import import run_import
    from import_pipeline.importer.runtime.api_client import open_api
    from import_pipeline.importer.summary import ImportSummary
    from import_pipeline.ratelimit import Limiter, RateLimitedTransport, open_permits, parse_tiers
    from import_pipeline.rules.partitions import buckets, per_item
    from import_pipeline.tracking.completions import items_of
    from import_pipeline.tracking.history import HasImportStatus

__all__ = [
    "ACCEPT",
    "FAIL",
    "GONE",
    "NOT_MODIFIED",
    "RATE_LIMITED",
    "RETRY",
    "SKIP",
    "STOP",
    "ApiBlocked",
    "Column",
    "Connector",
    "Cursor",
    "HasImportStatus",
    "ImportAlreadyRunning",
    "ImportPipelineError",
    "ImportSource",
    "ImportSummary",
    "Importable",
    "ImportableMixin",
    "Incremental",
    "ItemRejected",
    "ItemRetryable",
    "JwtBearer",
    "LastId",
    "Limiter",
    "LimiterUnavailable",
    "LinkHeader",
    "NextUrl",
    "Notice",
    "OAuth2",
    "Offset",
    "OnePage",
    "Origin",
    "PageNumber",
    "RateLimitedTransport",
    "ResponseAction",
    "RestSource",
    "Retry",
    "TenantMixin",
    "UtcDateTime",
    "buckets",
    "items_of",
    "next_link",
    "open_api",
    "open_for",
    "open_permits",
    "parse_tiers",
    "path_segment",
    "per_item",
    "run_import",
]

_HOMES = {
    "ACCEPT": "contracts",
    "FAIL": "contracts",
    "GONE": "contracts",
    "NOT_MODIFIED": "contracts",
    "RATE_LIMITED": "contracts",
    "RETRY": "contracts",
    "SKIP": "contracts",
    "STOP": "contracts",
    "ResponseAction": "contracts",
    "ApiBlocked": "errors",
    "Column": "declarative",
    "Connector": "contracts",
    "Cursor": "contracts",
    "HasImportStatus": "tracking.history",
    "ImportAlreadyRunning": "errors",
    "ImportPipelineError": "errors",
    "ImportSource": "contracts",
    "ImportSummary": "importer.summary",
    "Importable": "contracts",
    "ImportableMixin": "contracts",
    "Incremental": "contracts",
    "ItemRejected": "errors",
    "ItemRetryable": "errors",
    "JwtBearer": "contracts",
    "LastId": "contracts",
    "Limiter": "ratelimit",
    "LimiterUnavailable": "errors",
    "LinkHeader": "contracts",
    "NextUrl": "contracts",
    "Notice": "contracts",
    "OAuth2": "contracts",
    "Offset": "contracts",
    "OnePage": "declarative",
    "Origin": "contracts",
    "PageNumber": "contracts",
    "RateLimitedTransport": "ratelimit",
    "RestSource": "declarative",
    "Retry": "contracts",
    "TenantMixin": "contracts",
    "UtcDateTime": "contracts",
    "buckets": "rules.partitions",
    "items_of": "tracking.completions",
    "next_link": "contracts",
    "open_api": "importer.runtime.api_client",
    "open_for": "importer.installation",
    "open_permits": "ratelimit",
    "parse_tiers": "ratelimit",
    "path_segment": "contracts",
    "per_item": "rules.partitions",
    "run_import": "importer.run_import",
}


#: Found by `dg` through the entry point in pyproject.toml. Not in `__all__`, since it imports Dagster.
_COMPONENTS = {"RestImport": "defs.components.rest_import"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name) or _COMPONENTS.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, *_COMPONENTS]
