"""The classes that a user implements to import a new API: one `ImportSource` and one `Importable`.

They are plain Python: no database session, no limiter, no Dagster. Their methods build requests and never send them.
"""

from import_pipeline.contracts.check import check_source
from import_pipeline.contracts.column_types import UtcDateTime
from import_pipeline.contracts.connector import Connector, Origin
from import_pipeline.contracts.importable import Importable, ImportableMixin, TenantMixin, path_segment
from import_pipeline.contracts.incremental import Incremental
from import_pipeline.contracts.links import next_link
from import_pipeline.contracts.notice import Notice
from import_pipeline.contracts.oauth2 import JwtBearer, OAuth2
from import_pipeline.contracts.paginators import Cursor, LastId, LinkHeader, NextUrl, Offset, PageNumber, Paginator
from import_pipeline.contracts.source import ImportSource, Retry
from import_pipeline.rules.responses.actions import (
    ACCEPT,
    FAIL,
    GONE,
    NOT_MODIFIED,
    RATE_LIMITED,
    RETRY,
    SKIP,
    STOP,
    ResponseAction,
)

__all__ = [
    "ACCEPT",
    "FAIL",
    "GONE",
    "NOT_MODIFIED",
    "RATE_LIMITED",
    "RETRY",
    "SKIP",
    "STOP",
    "Connector",
    "Cursor",
    "ImportSource",
    "Importable",
    "ImportableMixin",
    "Incremental",
    "JwtBearer",
    "LastId",
    "LinkHeader",
    "NextUrl",
    "Notice",
    "OAuth2",
    "Offset",
    "Origin",
    "PageNumber",
    "Paginator",
    "ResponseAction",
    "Retry",
    "TenantMixin",
    "UtcDateTime",
    "check_source",
    "next_link",
    "path_segment",
]
